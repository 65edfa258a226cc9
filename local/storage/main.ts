// Storage as a process of its own. One JSON line on standard output says that it is ready and on which ports;
// it ends on SIGTERM, on SIGINT and when the process that started it (over IPC) is gone.
import { parseArgs } from 'node:util';

import { startStorage } from './storage.ts';

const { values } = parseArgs({
  options: {
    'data-folder': { type: 'string' },
    'blob-port': { type: 'string' },
    'queue-port': { type: 'string' },
    'table-port': { type: 'string' },
  },
});
if (values['data-folder'] === undefined) {
  process.stderr.write('storage: --data-folder is missing\n');
  process.exit(2);
}
const storage = await startStorage({
  dataFolder: values['data-folder'],
  ports: {
    blob: Number(values['blob-port'] ?? 0),
    queue: Number(values['queue-port'] ?? 0),
    table: Number(values['table-port'] ?? 0),
  },
});

let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  await storage.close();
  process.exit(0);
}
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop());
process.on('disconnect', () => void stop());
process.stdout.write(`${JSON.stringify({ ready: true, ports: storage.ports })}\n`);
