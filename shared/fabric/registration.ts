import { z } from 'zod';
import { type VaultRef, vaultIdOf } from '../arm/resource-id.ts';
import { type CommandQueues } from '../command/command-queue.ts';
import { equalInConstantTime } from '../constant-time.ts';
import { type Table } from '../store/table.ts';
import { uuidV5 } from '../uuid.ts';
import { requireVault } from '../vault/vault.ts';
import { type VaultKey } from '../vault/vault-key.ts';
import { type RegistrationRequest, type RegistrationResult } from '../wire/registration.ts';
import { containerNameOf, ensureAppliance, fabricNameOf } from './appliance.ts';
import { checkRegistrationKey, claimRegistrationKey } from './registration-key.ts';
import { authenticationFailed, refuseClockSkew, thumbprintOf, verifiedClaims } from './signed-claims.ts';

/** Claims of the proof that the appliance holds the private half of its signing key. */
const Proof = z.object({ jti: z.string(), aud: z.string(), iat: z.number() });

/**
 * Enrols an appliance: checks its registration key and its proof, remembers its public keys, makes its queue.
 * Every step may be repeated, so that a registration whose answer was lost, or that died half-way, can be sent again.
 * Nothing is told of the vault to who has no key of it.
 * @throws AuthenticationFailed, RegistrationKeyExpired, RegistrationKeyUsed, ClockSkew, ResourceNotFound, Unavailable
 */
export async function registerAppliance(
  services: { table: Table; vaultKey: VaultKey; commandQueues: CommandQueues },
  named: VaultRef,
  request: z.infer<typeof RegistrationRequest>,
): Promise<RegistrationResult> {
  const nowMs = Date.now();
  const { table, vaultKey } = services;
  const keyId = await checkRegistrationKey(request.registrationKey, { vault: named, vaultKey, nowMs });
  await checkProof(request, { keyId, vault: named, nowMs });
  const vault = await requireVault(table, named);
  const thumbprint = await thumbprintOf(request.signingKey);
  const applianceId = await claimRegistrationKey(table, vault, {
    keyId,
    thumbprint,
    applianceId: uuidV5(keyId, thumbprint),
  });
  await services.commandQueues.ensure(applianceId);
  await ensureAppliance(table, vault, {
    applianceId,
    vaultId: vaultIdOf(vault),
    signingKey: request.signingKey,
    encryptionKey: request.encryptionKey,
    machine: request.machine,
    registeredAtMs: nowMs,
  });
  return {
    applianceId,
    vaultId: vaultIdOf(vault),
    fabricName: fabricNameOf(applianceId),
    containerName: containerNameOf(applianceId),
    serverTimeMs: nowMs,
  };
}

async function checkProof(
  request: z.infer<typeof RegistrationRequest>,
  expected: { keyId: string; vault: VaultRef; nowMs: number },
): Promise<void> {
  const proof = await verifiedClaims(request.proof, request.signingKey, {
    schema: Proof,
    what: "The proof of the appliance's signing key",
  });
  const fits =
    equalInConstantTime(proof.jti, expected.keyId) &&
    equalInConstantTime(proof.aud.toLowerCase(), vaultIdOf(expected.vault).toLowerCase());
  if (!fits)
    throw authenticationFailed("The proof of the appliance's signing key is for another registration.");
  refuseClockSkew(proof.iat * 1_000, expected.nowMs);
}
