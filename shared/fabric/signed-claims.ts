import { type KeyObject, createPublicKey } from 'node:crypto';
import { calculateJwkThumbprint, compactVerify } from 'jose';
import { type z } from 'zod';
import { DomainError } from '../fault.ts';
import { type PublicKeyJwk } from '../wire/registration.ts';

/** The two clocks may differ by this much. */
const mostSkewMs = 15 * 60_000;

/**
 * The claims of a compact JWS, once its signature holds (ES256 only). Times in it are not looked at.
 * @throws AuthenticationFailed; `what` says of what: "The registration key".
 */
export async function verifiedClaims<T>(
  token: string,
  key: KeyObject | PublicKeyJwk,
  expected: { schema: z.ZodType<T>; what: string },
): Promise<T> {
  try {
    const verifyingKey = 'kty' in key ? createPublicKey({ key, format: 'jwk' }) : key;
    const { payload } = await compactVerify(token, verifyingKey, { algorithms: ['ES256'] });
    return expected.schema.parse(JSON.parse(new TextDecoder().decode(payload)));
  } catch (error) {
    throw authenticationFailed(`${expected.what} is not genuine: its signature does not hold.`, error);
  }
}

/** A public key's own name (RFC 7638). */
export function thumbprintOf(key: PublicKeyJwk): Promise<string> {
  return calculateJwkThumbprint(key, 'sha256');
}

/** @throws ClockSkew when the sender's clock, at `theirMs`, is more than 15 minutes before or after ours. */
export function refuseClockSkew(theirMs: number, nowMs: number): void {
  const skewMs = theirMs - nowMs;
  if (Math.abs(skewMs) <= mostSkewMs) return;
  const minutes = Math.round(Math.abs(skewMs) / 60_000);
  throw new DomainError({
    code: 'ClockSkew',
    message: `The appliance's clock is ${minutes} minutes ${skewMs > 0 ? 'ahead of' : 'behind'} the service's, which shows ${new Date(nowMs).toISOString()}.`,
    recommendedAction: 'Set the clock of the configuration server (15 minutes are allowed), then repeat.',
  });
}

export function authenticationFailed(message: string, cause?: unknown): DomainError {
  return new DomainError({ code: 'AuthenticationFailed', message }, { cause });
}
