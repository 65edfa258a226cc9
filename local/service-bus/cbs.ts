import type { Message } from 'rhea';
import type { Claims } from './claims.ts';
import { type Namespace, resolveNode } from './namespace.ts';
import { Refusal } from './refusal.ts';
import type { Reply } from './request.ts';
import { entityPath, TokenRefused, type TokenVerifier } from './sas.ts';

const SAS_TOKEN = 'servicebus.windows.net:sastoken';

/**
 * Claims-based security: puts a token for an audience.
 * @throws Refusal when the token does not hold, is of another kind, or the audience does not exist.
 */
export function putToken(
  { namespace, verifier }: { namespace: Namespace; verifier: TokenVerifier },
  claims: Claims,
  request: Message,
): Reply {
  const properties = (request['application_properties'] ?? {}) as Record<string, unknown>;
  const { operation, name, type } = properties;
  if (operation !== 'put-token' || typeof name !== 'string' || typeof request['body'] !== 'string') {
    throw new Refusal('com.microsoft:argument-error', "$cbs takes 'put-token' with a name and a token.");
  }
  if (type !== SAS_TOKEN) {
    throw new Refusal(
      'amqp:unauthorized-access',
      `not supported by the local Service Bus: tokens of type '${String(type)}'; use a shared access signature.`,
    );
  }
  try {
    claims.put(name, verifier.verify(request['body'], Date.now()));
  } catch (error) {
    if (!(error instanceof TokenRefused)) throw error;
    throw new Refusal('amqp:unauthorized-access', error.message);
  }
  if (entityPath(name) !== '') resolveNode(namespace, name);
  return { status: 202, description: 'Accepted' };
}
