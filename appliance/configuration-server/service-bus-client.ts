import type { ServiceBusClient } from '@azure/service-bus';
import { delay } from './back-off.ts';

const closeLimitMs = 5_000;

/**
 * Closes a client, for a few seconds at most: over a link that went silent its goodbye is never answered, and whoever
 * waits for it does nothing else meanwhile. A client that lost its connection has nothing left to close.
 */
export async function closeClient(client: ServiceBusClient | undefined): Promise<void> {
  if (client === undefined) return;
  const closed = new AbortController();
  const closing = client.close().catch(() => undefined);
  await Promise.race([closing, delay(closeLimitMs, closed.signal)]);
  closed.abort();
}
