import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { runChild } from '../child.ts';
import { startVCenter } from './server.ts';

const usage = 'usage: main.ts --inventory FILE [--port N] [--certificate PEM-FILE --key PEM-FILE]';

const { values } = parseArgs({
  options: {
    inventory: { type: 'string' },
    port: { type: 'string', default: '0' },
    certificate: { type: 'string' },
    key: { type: 'string' },
  },
});

await runChild('vcenter', async () => {
  const { inventory, certificate, key } = values;
  if (inventory === undefined || (certificate === undefined) !== (key === undefined)) throw new Error(usage);
  const vCenter = await startVCenter({
    inventoryFile: inventory,
    port: Number(values.port),
    ...(certificate === undefined || key === undefined
      ? {}
      : {
          tls: {
            certificatePem: await readFile(certificate, 'utf8'),
            privateKeyPem: await readFile(key, 'utf8'),
          },
        }),
    onProblem: (message) => process.stderr.write(`vcenter: ${message}\n`),
  });
  const { port, url, fingerprint } = vCenter;
  return { ready: { port, url, fingerprint }, close: () => vCenter.close() };
});
