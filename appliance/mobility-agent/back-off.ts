import { setTimeout as delay } from 'node:timers/promises';

const mostMs = 30_000;

/** Waits before another attempt: longer each time up to half a minute, and never the same for two machines. */
export async function backOff(attempt: number, signal: AbortSignal): Promise<void> {
  const ceiling = Math.min(mostMs, 250 * 2 ** attempt);
  await delay(ceiling * (0.5 + Math.random() / 2), undefined, { signal });
}
