import { statSync } from 'node:fs';
import { join } from 'node:path';
import { BlobServiceClient } from '@azure/storage-blob';
import { containerOf, openDataKey } from '../../shared/protection/replica-container.ts';
import { BlobReplicaStore } from '../../shared/replica/blob-replica-store.ts';
import { FileTarget } from '../../shared/replica/file-target.ts';
import { FramePool } from '../../shared/replica/frame-pool.ts';
import type { ReplicaLog } from '../../shared/replica/replica-store.ts';
import { restoreDisk } from '../../shared/replica/restore.ts';
import { verifyChain } from '../../shared/replica/verify-chain.ts';
import { openVaultKey } from '../../shared/vault/vault-key.ts';
import type { LocalConfig } from '../platform/config.ts';
import { findDifference } from './disk-image.ts';
import { describeBytes, type Reporter } from './reporter.ts';

const containerPrefix = 'replica-';
const vhdFooterBytes = 512;

/** Opens a replica log with nothing but the storage account and the vault's key: no table is asked. */
export async function openReplicaLog(config: LocalConfig, containerName: string): Promise<ReplicaLog> {
  const { kid, wrapping } = openVaultKey(`file:${config.vaultKeyPath}`);
  const replicaStorage = BlobServiceClient.fromConnectionString(config.storageConnectionString);
  const vault = { replicaStorage, vaultKey: { kid, wrapping } };
  const itemId = containerName.slice(containerPrefix.length);
  const dataKey = await openDataKey(vault, itemId);
  return { store: new BlobReplicaStore(containerOf(vault, itemId)), itemId, dataKey };
}

/** Reads every byte of the log and proves it against the anchor in the control plane. @throws Error naming the first defect */
export async function proveChain(
  reporter: Reporter,
  log: ReplicaLog,
  { containerName, anchor }: { containerName: string; anchor: { sequence: number; hash: string } },
): Promise<void> {
  await reporter.step('Verify the chain', async (progress) => {
    const found = await verifyChain(log, {
      anchor,
      deep: true,
      onProgress: ({ segmentsDone, segmentsTotal }) =>
        progress(`${segmentsDone} of ${segmentsTotal} segments`),
    });
    const [defect] = found.defects;
    if (defect) throw new Error(`The replica log is damaged: ${defect.blob}: ${defect.detail}`);
    const { points, segments, bytesRead } = found;
    const said = `${points} points, ${segments} segments, ${describeBytes(bytesRead)}: nothing missing, reordered or altered`;
    return { said, figures: { containerName, points, segments, bytesRead }, result: undefined };
  });
}

/** Restores a point, tied to the hash that the vault recorded of it, to a fixed VHD and compares it with what the disk held then. @throws Error where they differ */
export async function proveRestore(
  reporter: Reporter,
  log: ReplicaLog,
  restore: { point: { sequence: number; hash: string }; diskThen: string; folder: string },
): Promise<void> {
  const { point, diskThen, folder } = restore;
  const { sequence } = point;
  const path = join(folder, `point-${sequence}.vhd`);
  const { size: diskBytes } = statSync(diskThen);
  await reporter.step(`Restore point ${sequence}`, async (progress) => {
    const startedAtMs = Date.now();
    const pool = new FramePool();
    try {
      const target = new FileTarget(path, 'vhd');
      const onProgress = ({ bytesWritten, bytesTotal }: { bytesWritten: number; bytesTotal: number }): void =>
        progress(`${describeBytes(bytesWritten)} of ${describeBytes(bytesTotal)}`);
      await restoreDisk({ log, point, disk: 0, target, pool, onProgress });
    } finally {
      await pool.close();
    }
    const seconds = (Date.now() - startedAtMs) / 1_000;
    const { size: vhdBytes } = statSync(path);
    if (vhdBytes !== diskBytes + vhdFooterBytes) {
      throw new Error(
        `${path} has ${vhdBytes} bytes, expected ${diskBytes} of disk and ${vhdFooterBytes} of footer.`,
      );
    }
    const difference = findDifference(diskThen, path, diskBytes);
    if (difference !== undefined) throw new Error(`${path} differs from the disk at byte ${difference}.`);
    return {
      said: `${path}: ${vhdBytes} bytes in ${seconds.toFixed(1)} s, identical with the disk at that point, byte for byte`,
      figures: { path, vhdBytes, restoreSeconds: seconds, identical: true },
      result: undefined,
    };
  });
}
