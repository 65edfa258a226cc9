/**
 * The container of a protected item's replica log, and `item.json` in it: the data key, wrapped by the vault's key, so
 * that the log can be restored even when the control plane's tables are gone.
 */
import { type BlobServiceClient, type ContainerClient } from '@azure/storage-blob';
import { z } from 'zod';
import { replicaContainerName } from '../fabric/appliance-token.ts';
import { DomainError } from '../fault.ts';
import { generateDataKey, unwrapDataKey, wrapDataKey } from '../replica/keys.ts';
import { isNotFound, storageFault } from '../store/storage-fault.ts';

/** Content of `item.json`. */
export const ItemKeyFile = z.object({
  version: z.literal(1),
  protectedItemId: z.uuid(),
  /** Base64; see wrapDataKey in shared/replica. */
  wrappedDataKey: z.string(),
  /** The vault key that wrapped it. */
  kid: z.string(),
  createdAt: z.iso.datetime(),
});

const itemFile = 'item.json';

/** Where replica logs lie, and the key that wraps their data keys. */
export interface ReplicaVault {
  replicaStorage: BlobServiceClient;
  vaultKey: { kid: string; wrapping: Uint8Array };
}

/** Makes the item's container and its data key. What is there already stays, above all the key. */
export async function ensureReplicaContainer(vault: ReplicaVault, protectedItemId: string): Promise<void> {
  const container = containerOf(vault, protectedItemId);
  await reaching(container, () => container.createIfNotExists());
  const dataKey = generateDataKey();
  const file: z.infer<typeof ItemKeyFile> = {
    version: 1,
    protectedItemId,
    wrappedDataKey: wrapDataKey(dataKey, vault.vaultKey.wrapping, protectedItemId).toString('base64'),
    kid: vault.vaultKey.kid,
    createdAt: new Date().toISOString(),
  };
  const body = Buffer.from(JSON.stringify(file));
  await reaching(container, async () => {
    try {
      await container.getBlockBlobClient(itemFile).uploadData(body, {
        conditions: { ifNoneMatch: '*' },
        blobHTTPHeaders: { blobContentType: 'application/json' },
      });
    } catch (error) {
      if (!isThereAlready(error)) throw error;
    }
  });
}

/**
 * The item's data key in the clear. Never to be kept, logged or returned by an activity.
 * @throws ReplicaDamaged when it can not be opened, ResourceNotFound when there is none.
 */
export async function openDataKey(vault: ReplicaVault, protectedItemId: string): Promise<Buffer> {
  const container = containerOf(vault, protectedItemId);
  const bytes = await reaching(container, async () => {
    try {
      return await container.getBlobClient(itemFile).downloadToBuffer();
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  });
  const where = `${container.containerName}/${itemFile}`;
  if (bytes === undefined) {
    throw new DomainError({
      code: 'ResourceNotFound',
      message: `The blob '${where}' was not found.`,
      target: where,
    });
  }
  try {
    const file = ItemKeyFile.parse(JSON.parse(bytes.toString('utf8')));
    return unwrapDataKey(
      Buffer.from(file.wrappedDataKey, 'base64'),
      vault.vaultKey.wrapping,
      protectedItemId,
    );
  } catch (error) {
    throw new DomainError(
      {
        code: 'ReplicaDamaged',
        message: `The data key in '${where}' can not be opened with this vault's key.`,
        target: where,
        recommendedAction:
          'Check that the vault key is the one the item was enabled with, and that the blob was not altered.',
      },
      { cause: error },
    );
  }
}

/** Deletes the container with all the item's data. One that is gone is as good as deleted. */
export async function deleteReplicaContainer(vault: ReplicaVault, protectedItemId: string): Promise<void> {
  const container = containerOf(vault, protectedItemId);
  await reaching(container, () => container.deleteIfExists());
}

/** The item's container. */
export function containerOf(
  vault: Pick<ReplicaVault, 'replicaStorage'>,
  protectedItemId: string,
): ContainerClient {
  return vault.replicaStorage.getContainerClient(replicaContainerName(protectedItemId));
}

function isThereAlready(error: unknown): boolean {
  if (!(error instanceof Error && 'statusCode' in error)) return false;
  return error.statusCode === 409 || error.statusCode === 412;
}

async function reaching<T>(container: ContainerClient, request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    throw storageFault(error, `The container '${container.containerName}'`);
  }
}
