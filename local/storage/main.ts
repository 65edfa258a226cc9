// Storage as a process of its own. One JSON line on standard output says that it is ready and on which ports;
// it ends on SIGTERM, on SIGINT and when the process that started it (over IPC) is gone.
import { parseArgs } from 'node:util';

import { runChild } from '../child.ts';
import { startStorage } from './storage.ts';

const { values } = parseArgs({
  options: {
    'data-folder': { type: 'string' },
    'blob-port': { type: 'string', default: '0' },
    'queue-port': { type: 'string', default: '0' },
    'table-port': { type: 'string', default: '0' },
  },
});

const wished = {
  blob: Number(values['blob-port']),
  queue: Number(values['queue-port']),
  table: Number(values['table-port']),
};

await runChild('storage', async (fail) => {
  const dataFolder = values['data-folder'];
  if (dataFolder === undefined) throw new Error('--data-folder is missing');
  const storage = await startStorage({
    dataFolder,
    ports: wished,
    onFailure: fail,
  });
  for (const [service, port] of Object.entries(wished)) {
    const taken = port !== 0 && storage.ports[service as keyof typeof wished] !== port;
    if (taken) throw new Error(`port ${port} (${service}) is taken by another process`);
  }
  return { ready: { ports: storage.ports }, close: () => storage.close() };
});
