import { describeError } from './describe-error.ts';

/** What a child process of the platform runs. */
export type Service = {
  /** Told to the supervisor once it runs. */
  ready: object;
  close(): Promise<void>;
};

/**
 * Runs a service as a child process of the platform: prints one JSON line `{"ready":true,...}` when it runs; closes it
 * and exits 0 on SIGTERM, on SIGINT and when the supervisor's IPC channel closes; a second signal exits at once.
 * Exits 1 with one line on standard error when it cannot start or calls `fail`.
 */
export async function runChild(
  name: string,
  start: (fail: (error: Error) => void) => Promise<Service>,
): Promise<void> {
  const fail = (error: unknown): never => {
    process.stderr.write(`${name}: ${describeError(error)}\n`);
    process.exit(1);
  };
  let service: Service | undefined;
  let stopping = false;
  const stop = async (): Promise<void> => {
    if (stopping) process.exit(1);
    stopping = true;
    await service?.close();
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop().catch(fail));
  process.on('disconnect', () => {
    if (!stopping) void stop().catch(fail);
  });
  // The supervisor may be gone already, and with it the reader of this pipe.
  process.stdout.on('error', () => undefined);
  try {
    service = await start(fail);
  } catch (error) {
    fail(error);
  }
  process.stdout.write(`${JSON.stringify({ ready: true, ...service?.ready })}\n`);
}
