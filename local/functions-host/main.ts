// A Functions host as a process of its own. Its options are one JSON object in the variable FUNCTIONS_HOST_OPTIONS
// (which other users of the machine cannot read) or in the first argument. The log goes to standard error.
import { Console } from 'node:console';
import { z } from 'zod';

import { runChild } from '../child.ts';
import { startFunctionsHost, type FunctionsHostOptions } from './host.ts';

const Options = z.object({
  appFolder: z.string(),
  dataFolder: z.string(),
  settings: z.record(z.string(), z.string()),
  host: z.string().optional(),
  port: z.int().min(0).max(65_535).optional(),
  tls: z.object({ key: z.string(), cert: z.string() }).optional(),
  logJson: z.boolean().optional(),
});

const text = process.argv[2] ?? process.env['FUNCTIONS_HOST_OPTIONS'];
// The app and the processes it starts need not see the host's options.
delete process.env['FUNCTIONS_HOST_OPTIONS'];
// Standard output is for the line that says that the host listens; what the app prints goes to the log.
globalThis.console = new Console(process.stderr, process.stderr);

await runChild('functions-host', async () => {
  if (text === undefined)
    throw new Error('the options are missing: one JSON object in FUNCTIONS_HOST_OPTIONS');
  const { data, error } = Options.safeParse(JSON.parse(text));
  if (data === undefined) throw new Error(`the options are wrong: ${z.prettifyError(error)}`);
  const given = Object.entries(data).filter(([, value]) => value !== undefined);
  const host = await startFunctionsHost(Object.fromEntries(given) as FunctionsHostOptions);
  return { ready: { url: host.url }, close: () => host.close() };
});
