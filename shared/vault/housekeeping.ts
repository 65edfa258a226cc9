/** What timers put away: each look re-reads the world, so one that was missed or cut off costs nothing. */
import { type BlobServiceClient } from '@azure/storage-blob';
import { type VaultRef } from '../arm/resource-id.ts';
import { forgetAuditEvents } from '../audit/audit-event.ts';
import { KeptDiscovery, forgetDiscovery } from '../discovery/apply-discovery.ts';
import { forgetEvents } from '../event/event-store.ts';
import { claimCheckContainer } from '../fabric/appliance-token.ts';
import { fabricNameOf, listAppliances } from '../fabric/appliance.ts';
import { forgetExpiredKeys } from '../fabric/registration-key.ts';
import { findVCenter } from '../fabric/vcenter.ts';
import { forgetJobs } from '../job/forget-jobs.ts';
import { rowsBelow, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { isNotFound, storageFault } from '../store/storage-fault.ts';
import { type Table } from '../store/table.ts';
import { removeFromVaultIndex } from './vault-index.ts';
import { VaultStore } from './vault.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Jobs that have ended, and with them the records of long-running operations. */
export const jobsKeptMs = 7 * dayMs;
/** As long as Azure's own activity log; events too. */
const auditKeptMs = 90 * dayMs;
/** No job waits longer for an appliance than seven days (APPLIANCE_WAIT_MINUTES). */
const resultsKeptMs = 8 * dayMs;
/** No message lies longer in the queue of check-ins. */
const claimChecksKeptMs = 14 * dayMs;

/** Puts away what is old in one vault. */
export async function tidyVault(table: Table, vault: VaultRef, nowMs: number): Promise<void> {
  const holdsAudit = await forgetAuditEvents(table, vault, nowMs - auditKeptMs);
  if ((await new VaultStore(table).find(vault)) === undefined) {
    if (!holdsAudit) await removeFromVaultIndex(table, vault);
    return;
  }
  await forgetEvents(table, vault, nowMs - auditKeptMs);
  await forgetJobs(table, vault, nowMs - jobsKeptMs);
  await forgetExpiredKeys(table, vault, nowMs);
  await forgetResults(table, vault, nowMs - resultsKeptMs);
  await forgetStrayDiscoveries(table, vault, nowMs);
}

/** Answers of appliances; whoever waited for one has read it long ago. Their age is that of their row. */
async function forgetResults(table: Table, vault: VaultRef, beforeMs: number): Promise<void> {
  const range = rowsBelow(vaultPartition(vault), 'commandresults');
  let continuation: string | undefined;
  do {
    const page = await table.page(range, { continuation });
    for (const entity of page.entities) {
      const writtenAtMs = Date.parse(String(entity['timestamp']));
      if (writtenAtMs < beforeMs)
        await table.delete({ partition: range.partition, row: entity.rowKey }, entity.etag);
    }
    continuation = page.continuation;
  } while (continuation !== undefined);
}

/** A report that was under way when its vCenter was deleted brings machines that nobody lists any more. */
async function forgetStrayDiscoveries(table: Table, vault: VaultRef, nowMs: number): Promise<void> {
  for (const { applianceId } of await listAppliances(table, vault)) {
    const kept = await new Rows(table, KeptDiscovery).all(
      rowsBelow(vaultPartition(vault), 'discoveries', applianceId),
    );
    for (const { value } of kept) {
      // A vCenter that is being added has its first report before it has its row.
      if (nowMs - value.discoveredAtMs < hourMs) continue;
      const names = { fabricName: fabricNameOf(applianceId), vCenterName: value.vCenterName };
      if ((await findVCenter(table, vault, names)) !== undefined) continue;
      await forgetDiscovery(table, { vault, applianceId }, value.vCenterName);
    }
  }
}

/** Deletes bodies of check-ins that were applied, or never will be. */
export async function tidyClaimChecks(replicaStorage: BlobServiceClient, nowMs: number): Promise<void> {
  const container = replicaStorage.getContainerClient(claimCheckContainer);
  try {
    for await (const { name, properties } of container.listBlobsFlat()) {
      if (nowMs - properties.lastModified.getTime() <= claimChecksKeptMs) continue;
      await container.deleteBlob(name, { conditions: { ifUnmodifiedSince: properties.lastModified } });
    }
  } catch (error) {
    if (isNotFound(error)) return;
    throw storageFault(error, `The container '${claimCheckContainer}'`);
  }
}
