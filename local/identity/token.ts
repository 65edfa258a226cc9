import { createPrivateKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type JWK, jwtVerify, SignJWT } from 'jose';
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

/** Makes a bearer token, good for an hour, as Entra ID makes them: the same name has the same `oid` at every call. */
export async function mintToken(options: {
  key: TokenKey;
  issuer: string;
  tenantId: string;
  role: Role;
  /** Who it is; else one person a role. */
  name?: string;
  nowMs?: number;
}): Promise<{ token: string; expiresAtMs: number }> {
  const { key, issuer, tenantId, role, name = `Local ${role}` } = options;
  const nowSeconds = Math.floor((options.nowMs ?? Date.now()) / 1000);
  const expiresAtSeconds = nowSeconds + LIFETIME_SECONDS;
  const oid = stableGuid(tenantId, name);
  const token = await new SignJWT({
    tid: tenantId,
    oid,
    name,
    roles: [ROLES[role]],
    ver: '2.0',
  })
    .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid: key.kid })
    .setIssuer(issuer)
    .setAudience(TOKEN_AUDIENCE)
    .setSubject(oid)
    .setJti(randomUUID())
    .setIssuedAt(nowSeconds)
    .setNotBefore(nowSeconds)
    .setExpirationTime(expiresAtSeconds)
    .sign(createPrivateKey({ key, format: 'jwk' }));
  return { token, expiresAtMs: expiresAtSeconds * 1000 };
}

/** Makes the check of bearer tokens of an issuer: resolves when the token is one of its, for us and in time. */
export function tokenCheck(key: TokenKey, issuer: string): (token: string) => Promise<unknown> {
  return (token) =>
    jwtVerify(token, publicJwkOf(key), { issuer, audience: TOKEN_AUDIENCE, algorithms: ['ES256'] });
}
