import { type KeyObject, createHash, createPublicKey } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { type BlobServiceClient } from '@azure/storage-blob';
import { type VaultRef, parseVaultResourceId, sameName } from '../arm/resource-id.ts';
import { MiB } from '../bytes.ts';
import { equalInConstantTime } from '../constant-time.ts';
import { DomainError } from '../fault.ts';
import { isNotFound, storageFault } from '../store/storage-fault.ts';
import { type Table } from '../store/table.ts';
import { CheckIn, CheckInBody, type CheckInMessage } from '../wire/check-in.ts';
import { type Appliance, findAppliance } from './appliance.ts';
import { claimCheckContainer } from './appliance-token.ts';
import { authenticationFailed, verifiedClaims } from './signed-claims.ts';

/** A check-in whose sender is proven. */
export type OpenedCheckIn = {
  vault: VaultRef;
  applianceId: string;
  order: { epoch: number; sequence: number };
  sentAtMs: number;
  body: CheckInBody;
};

const mostPackedBytes = 64 * MiB;
const mostUnpackedBytes = 256 * MiB;

/**
 * Opens a message of the check-in queue: finds the appliance, checks its signature, fetches what went by claim check.
 * @throws AuthenticationFailed, InvalidRequest, Unavailable
 */
export async function openCheckIn(
  services: { table: Table; replicaStorage: () => BlobServiceClient; appliances: ApplianceCache },
  message: CheckInMessage,
): Promise<OpenedCheckIn> {
  const { vault } = parseVaultResourceId(message.vaultId, 'vaultId');
  const { appliance, signingKey } = await services.appliances.get(vault, message.applianceId);
  const checkIn = await verifiedClaims(message.jws, signingKey, {
    schema: CheckIn,
    what: 'The check-in',
  });
  if (
    !sameName(checkIn.applianceId, appliance.applianceId) ||
    !sameName(checkIn.vaultId, appliance.vaultId)
  ) {
    throw authenticationFailed('The check-in is signed by another appliance than it names.');
  }
  return {
    vault,
    applianceId: appliance.applianceId,
    order: { epoch: checkIn.epoch, sequence: checkIn.sequence },
    sentAtMs: checkIn.sentAtMs,
    body: await bodyOf(checkIn, services.replicaStorage),
  };
}

async function bodyOf(checkIn: CheckIn, storage: () => BlobServiceClient): Promise<CheckInBody> {
  if (checkIn.body !== undefined) return checkIn.body;
  if (checkIn.claimCheck === undefined)
    throw invalidCheckIn('The check-in has neither a body nor a claim check.');
  const { blobName, sha256 } = checkIn.claimCheck;
  const packed = await download(storage(), blobName);
  if (!equalInConstantTime(createHash('sha256').update(packed).digest('hex'), sha256.toLowerCase())) {
    throw invalidCheckIn(`The claim check '${blobName}' is not what the appliance signed.`);
  }
  const unpacked = await unpack(packed, blobName);
  return CheckInBody.parse(JSON.parse(unpacked.toString('utf8')));
}

async function download(storage: BlobServiceClient, blobName: string): Promise<Buffer> {
  try {
    const blob = storage.getContainerClient(claimCheckContainer).getBlobClient(blobName);
    const { contentLength = 0 } = await blob.getProperties();
    if (contentLength > mostPackedBytes)
      throw invalidCheckIn(`The claim check '${blobName}' is over 64 MiB.`);
    return await blob.downloadToBuffer(0, contentLength);
  } catch (error) {
    if (isNotFound(error)) throw invalidCheckIn(`The claim check '${blobName}' is not there.`);
    throw storageFault(error, `The claim check '${blobName}'`);
  }
}

async function unpack(packed: Buffer, blobName: string): Promise<Buffer> {
  try {
    return await promisify(gunzip)(packed, { maxOutputLength: mostUnpackedBytes });
  } catch (error) {
    throw invalidCheckIn(`The claim check '${blobName}' is not gzip of at most 256 MiB.`, error);
  }
}

function invalidCheckIn(message: string, cause?: unknown): DomainError {
  return new DomainError({ code: 'InvalidRequest', message }, { cause });
}

/** An appliance, and its key as signatures are checked with it. */
type KnownAppliance = { appliance: Appliance; signingKey: KeyObject };

/**
 * Appliances by id, kept for a minute: their keys never change, but one may be taken out of the vault. Saves the read
 * of the appliance's row, and the making of its key, for nearly every check-in.
 */
export class ApplianceCache {
  readonly #table: Table;
  readonly #known = new Map<string, { known: KnownAppliance; untilMs: number }>();

  constructor(table: Table) {
    this.#table = table;
  }

  /** @throws AuthenticationFailed when the vault has no such appliance. */
  async get(vault: VaultRef, applianceId: string): Promise<KnownAppliance> {
    const key = JSON.stringify([vault, applianceId]).toLowerCase();
    const kept = this.#known.get(key);
    if (kept !== undefined && kept.untilMs > Date.now()) return kept.known;
    const appliance = await findAppliance(this.#table, vault, applianceId);
    if (appliance === undefined) throw authenticationFailed('The vault does not know this appliance.');
    if (this.#known.size >= mostKnown) this.#known.clear();
    const known = { appliance, signingKey: createPublicKey({ key: appliance.signingKey, format: 'jwk' }) };
    this.#known.set(key, { known, untilMs: Date.now() + keptForMs });
    return known;
  }
}

const keptForMs = 60_000;
const mostKnown = 10_000;
