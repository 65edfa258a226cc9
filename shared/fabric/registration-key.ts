/**
 * Registration keys: a file with which a configuration server enrols itself. Valid five days, for one appliance.
 * Signed with the vault key, so a forged one is refused without any look-up; the row remembers who used it.
 */
import { randomUUID } from 'node:crypto';
import { CompactSign } from 'jose';
import { z } from 'zod';
import { type VaultRef, vaultIdOf } from '../arm/resource-id.ts';
import { equalInConstantTime } from '../constant-time.ts';
import { DomainError } from '../fault.ts';
import { type RowKey, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { type VaultKey } from '../vault/vault-key.ts';
import {
  RegistrationKeyClaims,
  type RegistrationKeyFile,
  registrationKeyAudience,
} from '../wire/registration.ts';
import { authenticationFailed, verifiedClaims } from './signed-claims.ts';

const kind = 'registrationkeys';
const validForSeconds = 5 * 24 * 3_600;

/** What is remembered of a key. */
const IssuedKey = z.object({
  keyId: z.uuid(),
  issuedAtMs: z.number(),
  expiresAtMs: z.number(),
  /** Object id of the one who asked for it. */
  issuedTo: z.string(),
  /** Thumbprint of the signing key of the appliance that used it. */
  usedBy: z.string().exactOptional(),
  /** The id that appliance got. */
  applianceId: z.uuid().exactOptional(),
  /** That appliance was removed from the vault: the key is worth nothing any more, to nobody. */
  revoked: z.literal(true).exactOptional(),
});

const SignedKey = z.object({ ...RegistrationKeyClaims.shape, aud: z.literal(registrationKeyAudience) });

/** Makes a key for a vault. */
export async function issueRegistrationKey(
  services: { table: Table; vaultKey: VaultKey },
  issue: {
    vault: VaultRef;
    endpoint: string;
    caCertificatePem: string | undefined;
    issuedTo: string;
    nowMs: number;
  },
): Promise<RegistrationKeyFile> {
  const keyId = randomUUID();
  const issuedAt = Math.floor(issue.nowMs / 1_000);
  const claims = {
    aud: registrationKeyAudience,
    jti: keyId,
    vaultId: vaultIdOf(issue.vault),
    endpoint: issue.endpoint,
    ...(issue.caCertificatePem !== undefined && { caCertificatePem: issue.caCertificatePem }),
    iat: issuedAt,
    exp: issuedAt + validForSeconds,
  };
  const expiresAtMs = claims.exp * 1_000;
  await new Rows(services.table, IssuedKey).insert(issuedKey(issue.vault, keyId), {
    keyId,
    issuedAtMs: issue.nowMs,
    expiresAtMs,
    issuedTo: issue.issuedTo,
  });
  const key = await new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'ES256', kid: services.vaultKey.kid })
    .sign(services.vaultKey.signing);
  return {
    kind: 'SecondsiteVaultRegistrationKey',
    version: 1,
    vaultName: issue.vault.vaultName,
    expiresAt: new Date(expiresAtMs).toISOString(),
    key,
  };
}

/**
 * The id of a key that is genuine, for this vault and not expired.
 * @throws AuthenticationFailed, RegistrationKeyExpired
 */
export async function checkRegistrationKey(
  key: string,
  expected: { vault: VaultRef; vaultKey: VaultKey; nowMs: number },
): Promise<string> {
  const claims = await verifiedClaims(key, expected.vaultKey.verifying, {
    schema: SignedKey,
    what: 'The registration key',
  });
  if (!equalInConstantTime(claims.vaultId.toLowerCase(), vaultIdOf(expected.vault).toLowerCase())) {
    throw authenticationFailed('The registration key is for another vault.');
  }
  if (claims.exp * 1_000 <= expected.nowMs) {
    throw new DomainError({
      code: 'RegistrationKeyExpired',
      message: `The registration key expired at ${new Date(claims.exp * 1_000).toISOString()}; a key is valid for five days.`,
      recommendedAction: 'Download a new registration key from the vault.',
    });
  }
  return claims.jti;
}

/**
 * Binds a key to the appliance that uses it first; the same appliance may use it again (its answer was lost).
 * @throws RegistrationKeyUsed by another appliance; AuthenticationFailed when the vault knows no such key.
 */
export async function claimRegistrationKey(
  table: Table,
  vault: VaultRef,
  claim: { keyId: string; thumbprint: string; applianceId: string },
): Promise<string> {
  const claimed = await new Rows(table, IssuedKey).update(issuedKey(vault, claim.keyId), (issued) => {
    if (issued === undefined) throw authenticationFailed('The vault does not know this registration key.');
    if (issued.usedBy === undefined) {
      return { ...issued, usedBy: claim.thumbprint, applianceId: claim.applianceId };
    }
    if (!equalInConstantTime(issued.usedBy, claim.thumbprint)) throw usedAlready();
    if (issued.revoked === true) throw revoked();
    return undefined;
  });
  return claimed?.applianceId ?? claim.applianceId;
}

/** Ends the key by which an appliance came into the vault, so that it can not come back by it. */
export async function revokeRegistrationKeys(
  table: Table,
  vault: VaultRef,
  applianceId: string,
): Promise<void> {
  const keys = new Rows(table, IssuedKey);
  // A key is downloaded by hand, and expired ones are collected: there are few.
  for (const { value } of await keys.all(rowsBelow(vaultPartition(vault), kind))) {
    if (value.applianceId !== applianceId) continue;
    await keys.update(issuedKey(vault, value.keyId), (issued) =>
      issued === undefined || issued.revoked === true ? undefined : { ...issued, revoked: true },
    );
  }
}

/** Deletes the rows of expired keys: such a key is refused by its own word. */
export async function forgetExpiredKeys(table: Table, vault: VaultRef, nowMs: number): Promise<void> {
  const keys = new Rows(table, IssuedKey);
  for (const { value, etag } of await keys.all(rowsBelow(vaultPartition(vault), kind))) {
    if (value.expiresAtMs < nowMs) await keys.delete(issuedKey(vault, value.keyId), etag);
  }
}

function revoked(): DomainError {
  return new DomainError({
    code: 'RegistrationKeyUsed',
    message: 'The configuration server that used this registration key was removed from the vault.',
    recommendedAction: 'Download a new registration key from the vault and set the server up anew.',
  });
}

function usedAlready(): DomainError {
  return new DomainError({
    code: 'RegistrationKeyUsed',
    message: 'The registration key has enrolled another configuration server already; a key works once.',
    recommendedAction: 'Download a new registration key from the vault.',
  });
}

function issuedKey(vault: VaultRef, keyId: string): RowKey {
  return rowKey(vaultPartition(vault), kind, keyId);
}
