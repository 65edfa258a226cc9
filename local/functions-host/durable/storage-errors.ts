import { setTimeout as delay } from 'node:timers/promises';

import type { Logger } from '../log.ts';

/** The HTTP status of a storage error; undefined when there was no answer. */
export function statusOf(error: unknown): number | undefined {
  const status = (error as { statusCode?: unknown } | undefined)?.statusCode;
  return typeof status === 'number' ? status : undefined;
}

/** The row exists already, or is not in the version that was expected. */
export function isConflict(error: unknown): boolean {
  return statusOf(error) === 409 || statusOf(error) === 412;
}

/** The row is not there. */
export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404;
}

const transientCodes = [
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'REQUEST_SEND_ERROR',
  'PARSE_ERROR',
];

function isTransient(error: unknown): boolean {
  const status = statusOf(error);
  if (status !== undefined) return status === 408 || status === 429 || status >= 500;
  const { code, name } = error as { code?: unknown; name?: unknown };
  return transientCodes.includes(String(code)) || name === 'AbortError' || name === 'FetchError';
}

/** How an operation on storage goes on while storage is away. */
export type StoragePatience = {
  /** Aborted when the host stops. */
  signal: AbortSignal;
  /** Told of each try that failed. */
  onAway(error: unknown): void;
};

/** Repeats a storage operation until it is answered: state must not be lost because storage is away for a while. */
export async function retryStorage<T>(operation: () => Promise<T>, patience: StoragePatience): Promise<T> {
  for (let waitMs = 50; ; waitMs = Math.min(waitMs * 2, 2_000)) {
    patience.signal.throwIfAborted();
    try {
      return await operation();
    } catch (error) {
      if (!isTransient(error)) throw error;
      patience.onAway(error);
    }
    await delay(waitMs, undefined, { signal: patience.signal });
  }
}

/** Storage that is away is told of once in this time, not at each try. */
const quietMs = 30_000;

/** Patience until the host stops, with a line in the log now and then. */
export function createPatience(signal: AbortSignal, log: Logger): StoragePatience {
  let toldAtMs = -Infinity;
  return {
    signal,
    onAway(error) {
      if (performance.now() - toldAtMs < quietMs) return;
      toldAtMs = performance.now();
      log(
        'warning',
        'Host.Storage',
        `Storage does not answer; trying until it does: ${(error as Error).message}`,
      );
    },
  };
}
