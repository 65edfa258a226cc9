import { setTimeout as delay } from 'node:timers/promises';

const firstMs = 250;
const mostMs = 30_000;

/** How long to wait before another attempt: longer each time up to half a minute, and never the same for two machines. */
export function backOffMs(attempt: number): number {
  const ceilingMs = Math.min(mostMs, firstMs * 2 ** Math.min(attempt - 1, 20));
  return ceilingMs * (0.5 + Math.random() / 2);
}

/** Waits so long. @throws the signal's reason */
export async function backOff(attempt: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(backOffMs(attempt), undefined, { signal });
  } catch {
    signal.throwIfAborted(); // with its own reason, in place of the timer's
  }
}
