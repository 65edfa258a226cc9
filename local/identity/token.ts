import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
} from 'node:crypto';
import { join } from 'node:path';
import { type JWK, SignJWT } from 'jose';
import { z } from 'zod';

import { ensureJsonFile } from '../json-file.ts';
import { stableGuid } from './tenant.ts';

/** A private EC P-256 key as a JWK. */
export const PrivateJwk = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.base64url(),
  y: z.base64url(),
  d: z.base64url(),
});

const TokenKey = PrivateJwk.extend({ kid: z.string() });

/** The key that signs the bearer tokens of a data folder. */
export type TokenKey = z.infer<typeof TokenKey>;

/** The Azure roles that the API knows, by the names of the command line. */
export const ROLES = {
  contributor: 'Site Recovery Contributor',
  operator: 'Site Recovery Operator',
  reader: 'Site Recovery Reader',
} as const;

export type Role = keyof typeof ROLES;

/** What tokens are for: Azure Resource Manager. */
export const TOKEN_AUDIENCE = 'https://management.azure.com/';

const LIFETIME_SECONDS = 3600;

/** The signing key of a data folder (`token-key.json`, mode 600), the same at every start. */
export function ensureTokenKey(dataFolder: string): TokenKey {
  return ensureJsonFile(join(dataFolder, 'token-key.json'), TokenKey, () => ({
    ...generatePrivateJwk(),
    kid: randomUUID(),
  }));
}

export function generatePrivateJwk(): z.infer<typeof PrivateJwk> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return PrivateJwk.parse(privateKey.export({ format: 'jwk' }));
}

/** The key with which tokens of the data folder can be checked. */
export function publicJwkOf(key: TokenKey): JWK {
  const { kty, crv, x, y, kid } = key;
  return { kty, crv, x, y, kid, use: 'sig', alg: 'ES256' };
}

/** The `iss` of tokens that an issuer on this port signs for the tenant. */
export function issuerUrl(port: number, tenantId: string): string {
  return `https://localhost:${port}/${tenantId}/v2.0`;
}

/**
 * Makes a bearer token, good for an hour, as Entra ID makes them: one person a role, the same at every call.
 */
export async function mintToken(options: {
  key: TokenKey;
  issuer: string;
  tenantId: string;
  role: Role;
  audience?: string;
  nowMs?: number;
}): Promise<{ token: string; expiresAtMs: number }> {
  const { key, issuer, tenantId, role, audience = TOKEN_AUDIENCE } = options;
  const nowSeconds = Math.floor((options.nowMs ?? Date.now()) / 1000);
  const expiresAtSeconds = nowSeconds + LIFETIME_SECONDS;
  const oid = stableGuid(tenantId, role);
  const token = await new SignJWT({
    tid: tenantId,
    oid,
    name: `Local ${role}`,
    roles: [ROLES[role]],
    ver: '2.0',
  })
    .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid: key.kid })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(oid)
    .setJti(randomUUID())
    .setIssuedAt(nowSeconds)
    .setNotBefore(nowSeconds)
    .setExpirationTime(expiresAtSeconds)
    .sign(createPrivateKey({ key, format: 'jwk' }));
  return { token, expiresAtMs: expiresAtSeconds * 1000 };
}
