// `npm start`: runs the local platform until Ctrl-C.
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { describeError } from './describe-error.ts';
import type { LocalConfig } from './platform/config.ts';
import { startPlatform } from './platform/platform.ts';

const HELP = `Runs Secondsite on this machine: storage, service bus, functions host, token issuer, target catalogue.

  npm start [-- options]

  --data-folder FOLDER  where all state is (default .secondsite); it survives restarts and kill -9
  --app-folder FOLDER   the function app to run (default this one)
  --any-ports           free ports instead of the usual ones
  --quiet               no log lines, only what happens to the platform itself
  --json                one JSON object, on one line, when everything runs
  --help                this text
`;

type Options = { appFolder: string; dataFolder: string; anyPorts: boolean; quiet: boolean; json: boolean };

function parseCommandLine(): Options {
  const installation = resolve(import.meta.dirname, '..');
  const { values } = parseArgs({
    options: {
      'data-folder': { type: 'string', default: join(installation, '.secondsite') },
      'app-folder': { type: 'string', default: installation },
      'any-ports': { type: 'boolean', default: false },
      quiet: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  // npm runs scripts in the package's folder and says here where it was called.
  const callersFolder = process.env['INIT_CWD'] ?? process.cwd();
  return {
    dataFolder: resolve(callersFolder, values['data-folder']),
    appFolder: resolve(callersFolder, values['app-folder']),
    anyPorts: values['any-ports'],
    quiet: values.quiet,
    json: values.json,
  };
}

function say(sentence: string): void {
  process.stderr.write(`${sentence}\n`);
}

function describe(config: LocalConfig): string {
  const { ports, dataFolder } = config;
  const rows = {
    'ARM API': config.armEndpoint,
    Storage: `http://127.0.0.1:${ports.blob} (blobs), :${ports.queue} (queues), :${ports.table} (tables)`,
    'Service Bus': `sb://localhost:${ports.serviceBus}, administration https://${config.serviceBusAdminEndpoint}`,
    'Token issuer': config.tokenIssuer,
    'Target catalogue': `${config.targetResourceManager} (edit ${join(dataFolder, 'catalogue.json')})`,
    Subscription: `${config.subscriptionId}, resource group ${config.resourceGroup}`,
    'CA certificate': `${config.caCertificatePath} (set NODE_EXTRA_CA_CERTS to it in clients)`,
    'All of it': `${join(dataFolder, 'local.json')} (holds keys: mode 600)`,
    Logs: join(dataFolder, 'logs'),
  };
  const lines = Object.entries(rows).map(([name, value]) => `  ${name.padEnd(18)}${value}`);
  return [
    '',
    'Secondsite runs on this machine.',
    '',
    ...lines,
    '',
    '  A token:          npx secondsite local token --role contributor',
    '  To stop:          Ctrl-C',
    '',
    '',
  ].join('\n');
}

/** While it starts: the child processes end by themselves when this one is gone. */
function exitAtOnce(): void {
  process.exit(130);
}

async function main(): Promise<void> {
  const { dataFolder, appFolder, anyPorts, quiet, json } = parseCommandLine();
  let stop = exitAtOnce;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop());
  const platform = await startPlatform({
    dataFolder,
    appFolder,
    usualPorts: !anyPorts,
    onLine: (name, line) => {
      if (!quiet) say(`[${name}] ${line}`);
    },
    onNotice: say,
  });
  stop = () => {
    say('Stopping; Ctrl-C again kills.');
    stop = () => {
      platform.kill();
      process.exit(1);
    };
    platform.close().then(
      () => process.exit(0),
      (error: unknown) => {
        say(describeError(error));
        process.exit(1);
      },
    );
  };
  const { config } = platform;
  const { armEndpoint, caCertificatePath, ports } = config;
  const ready = { ready: true, armEndpoint, caCertificatePath, dataFolder, ports, pid: process.pid };
  process.stdout.write(json ? `${JSON.stringify(ready)}\n` : describe(config));
}

try {
  await main();
} catch (error) {
  say(`The local platform does not start: ${describeError(error)}`);
  process.exit(1);
}
