/**
 * The local Service Bus as a process of its own. Its options are JSON (see options.ts), from the environment
 * variable SERVICE_BUS_OPTIONS, or from the first argument where they hold no real keys: arguments are there
 * for every user of the machine to see. When it listens it prints one line, `{"ready":true,"port":…}`; it
 * stops on SIGTERM and SIGINT, and when the parent that has an IPC channel to it goes away.
 */
import { inspect } from 'node:util';
import { startServiceBus } from './broker.ts';
import { StoreFailure } from './journal.ts';
import { ServiceBusOptions } from './options.ts';

function readOptions(): ServiceBusOptions {
  const text = process.argv[2] ?? process.env['SERVICE_BUS_OPTIONS'];
  if (text === undefined) {
    throw new Error('The local Service Bus has no options; give them as JSON in SERVICE_BUS_OPTIONS.');
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Error('The options of the local Service Bus are not JSON.');
  }
  const result = ServiceBusOptions.safeParse(json);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new Error(`The options of the local Service Bus are not valid: ${issues.join('; ')}`);
}

function log(sentence: string, ids: Record<string, unknown>): void {
  process.stderr.write(`${JSON.stringify({ from: 'service-bus', sentence, ...ids })}\n`);
}

async function run(): Promise<void> {
  const running = await startServiceBus(readOptions(), log);
  let isStopping = false;
  const stop = (): void => {
    if (isStopping) return;
    isStopping = true;
    void running.close().finally(() => process.exit(0));
  };
  for (const event of ['SIGTERM', 'SIGINT', 'disconnect'] as const) process.on(event, stop);
  const { port, adminPort } = running;
  process.stdout.write(`${JSON.stringify({ ready: true, port, adminPort, pid: process.pid })}\n`);
}

/** Ends the process with what went wrong; a store that cannot be written ends here too. */
function fail(error: unknown): void {
  const isForeseen = error instanceof Error && (error instanceof StoreFailure || !isStarted);
  process.stderr.write(`${isForeseen ? describe(error) : inspect(error)}\n`);
  process.exit(1);
}

function describe({ message, cause }: Error): string {
  return cause instanceof Error ? `${message} (${cause.message})` : message;
}

let isStarted = false;
process.on('uncaughtException', fail);
run().then(() => {
  isStarted = true;
}, fail);
