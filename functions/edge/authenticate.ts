import { hash } from 'node:crypto';
import { type JWTVerifyGetKey, createRemoteJWKSet, errors, jwtVerify } from 'jose';
import { z } from 'zod';
import { DomainError } from '../../shared/fault.ts';

/** Who asks, from the bearer token. */
export type Caller = { objectId: string; tenantId: string; name: string; roles: readonly string[] };

export type TokenSettings = { issuer: string; audiences: readonly string[]; jwksUri: string };

const Claims = z.object({
  oid: z.string().optional(),
  sub: z.string().optional(),
  tid: z.string().optional(),
  name: z.string().optional(),
  roles: z.array(z.string()).default([]),
  /** Seconds since 1970. */
  exp: z.number(),
});

/** Clocks of issuer and service may differ by this much. */
const clockToleranceSeconds = 60;

/** How long a token that was found good is not looked at again: so long at most an issuer's withdrawn key still counts. */
const knownForMs = 5 * 60_000;
const mostKnown = 10_000;

/**
 * Makes the check of bearer tokens; the issuer's keys are fetched at first use and kept. A caller sends the same token
 * many times, so a good one is remembered, by its hash, for five minutes and never beyond its own end.
 */
export function bearerTokenCheck(settings: TokenSettings): (authorization: string | null) => Promise<Caller> {
  const known = new Map<string, { caller: Caller; untilMs: number }>();
  const keys = createRemoteJWKSet(new URL(settings.jwksUri));
  const audience = settings.audiences.flatMap((name) => {
    const bare = name.replace(/\/+$/u, '');
    return [bare, `${bare}/`];
  });
  return async (authorization) => {
    const token = /^Bearer +(\S+)$/iu.exec(authorization ?? '')?.[1];
    if (token === undefined) throw refused('The request has no bearer token.');
    const digest = hash('sha256', token);
    const kept = known.get(digest);
    if (kept !== undefined && kept.untilMs > Date.now()) return kept.caller;
    const claims = await verify(token, keys, { issuer: settings.issuer, audience });
    const caller = {
      objectId: claims.oid ?? claims.sub ?? '',
      tenantId: claims.tid ?? '',
      name: claims.name ?? '',
      roles: claims.roles,
    };
    if (known.size >= mostKnown) known.clear();
    known.set(digest, { caller, untilMs: Math.min(claims.exp * 1_000, Date.now() + knownForMs) });
    return caller;
  };
}

async function verify(
  token: string,
  keys: JWTVerifyGetKey,
  expected: { issuer: string; audience: string[] },
): Promise<z.infer<typeof Claims>> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      ...expected,
      algorithms: ['RS256', 'PS256', 'ES256'],
      clockTolerance: clockToleranceSeconds,
      requiredClaims: ['exp'],
    });
    return Claims.parse(payload);
  } catch (error) {
    throw tokenFault(error);
  }
}

function tokenFault(error: unknown): DomainError {
  if (error instanceof errors.JWTExpired) return refused('The bearer token has expired.', error);
  if (error instanceof errors.JWTClaimValidationFailed) {
    return refused(`The bearer token's claim '${error.claim}' is not what this service expects.`, error);
  }
  if (
    error instanceof errors.JWKSTimeout ||
    !(error instanceof errors.JOSEError || error instanceof z.ZodError)
  ) {
    return new DomainError(
      { code: 'Unavailable', message: 'The keys of the token issuer can not be fetched just now.' },
      { cause: error },
    );
  }
  return refused('The bearer token is not valid.', error);
}

function refused(message: string, cause?: unknown): DomainError {
  return new DomainError(
    {
      code: 'AuthenticationFailed',
      message,
      recommendedAction: 'Sign in again, and ask for a token for this service.',
    },
    { cause },
  );
}
