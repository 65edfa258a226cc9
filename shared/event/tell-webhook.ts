import { createHmac } from 'node:crypto';
import { type VaultRef, vaultIdOf } from '../arm/resource-id.ts';
import { eventAnswer, type VaultEvent } from './event.ts';

/** Where events are posted to, and the secret by which the receiver knows us. */
export interface WebhookRoute {
  url: string;
  secret: string;
}

const patienceMs = 15_000;

/**
 * Posts an event as a CloudEvent (https://github.com/cloudevents/spec, 1.0, structured JSON), signed as Standard
 * Webhooks have it (https://www.standardwebhooks.com): `webhook-signature` is `v1,` and the base64 HMAC-SHA256 of
 * `{webhook-id}.{webhook-timestamp}.{body}`. The id is the event's, so a receiver can drop what it has had.
 * @throws Error when the receiver does not answer 2xx in 15 seconds.
 */
export async function tellByWebhook(
  route: WebhookRoute,
  vault: VaultRef,
  event: VaultEvent,
  nowMs = Date.now(),
): Promise<void> {
  const answer = eventAnswer(vault, event);
  const body = JSON.stringify({
    specversion: '1.0',
    id: event.eventId,
    source: vaultIdOf(vault),
    type: `com.secondsite.${event.type}.${event.code}`,
    subject: event.affected.name,
    time: new Date(event.atMs).toISOString(),
    datacontenttype: 'application/json',
    data: answer,
  });
  const timestamp = String(Math.floor(nowMs / 1_000));
  const response = await fetch(route.url, {
    method: 'POST',
    redirect: 'error',
    signal: AbortSignal.timeout(patienceMs),
    headers: {
      'content-type': 'application/cloudevents+json; charset=utf-8',
      'webhook-id': event.eventId,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${sign(route.secret, `${event.eventId}.${timestamp}.${body}`)}`,
    },
    body,
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`the webhook answered ${response.status}`);
}

function sign(secret: string, text: string): string {
  return createHmac('sha256', secret).update(text).digest('base64');
}
