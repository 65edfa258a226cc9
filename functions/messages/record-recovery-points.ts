import { type z } from 'zod';
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { findApplianceItem } from '../../shared/fabric/appliance-item.ts';
import { DomainError } from '../../shared/fault.ts';
import { jobIdAt } from '../../shared/job/job-id.ts';
import { ensureJob } from '../../shared/job/job-store.ts';
import { affectedObjects } from '../../shared/protection/affected-objects.ts';
import { type ItemRef, itemRef } from '../../shared/protection/item-row.ts';
import { findItem } from '../../shared/protection/protected-item-store.ts';
import { type ProtectedItem, itemPath } from '../../shared/protection/protected-item.ts';
import { advanceRecoveryPoints } from '../../shared/recovery/advance.ts';
import { services } from '../services.ts';
import { type FinalizeProtectionInput, finalizeProtection } from '../orchestrations/finalize-protection.ts';
import { handleOf } from '../activities/protected-item.ts';
import { type Starter, startOrchestration } from '../edge/start-job.ts';

/** An appliance said that an item has a new point. */
export interface PointHint {
  vault: VaultRef;
  applianceId: string;
  protectedItemId: string;
}

/**
 * Brings an item's recovery points in line with its replica log, and starts its Finalize protection job when the
 * first one is there. The hint only says when to look: twice, late or wrong, it changes nothing. Hints for items that
 * the appliance does not replicate, or that are gone, are dropped.
 */
export async function recordRecoveryPoints(client: Starter, hint: PointHint): Promise<void> {
  const { vault, protectedItemId } = hint;
  const { table } = services();
  const known = await findApplianceItem(table, hint, protectedItemId);
  if (known === undefined) return;
  const anchor = await advanceOrGone(itemRef(vault, known));
  if (anchor?.firstPointAtMs === undefined) return;
  const item = await findItem(table, vault, known);
  if (item?.protectedItemId !== protectedItemId || item.protectedAtMs !== undefined) return;
  await startFinalize(client, vault, { item, firstPointAtMs: anchor.firstPointAtMs });
}

/** The job's id follows from the item and its first point, so that it can't be started twice. */
async function startFinalize(
  client: Starter,
  vault: VaultRef,
  { item, firstPointAtMs }: { item: ProtectedItem; firstPointAtMs: number },
): Promise<void> {
  const jobId = jobIdAt(firstPointAtMs, `finalize/${item.protectedItemId}`);
  const input: z.infer<typeof FinalizeProtectionInput> = { item: handleOf(item) };
  const start = {
    jobId,
    scenario: 'IrCompletion' as const,
    target: { id: item.machine.protectableItemName, name: item.machine.name },
    resource: itemPath(item).map(([type, name]): [string, string] => [type, name]),
    affected: affectedObjects(item, item.applianceId),
    activityId: `${item.protectedItemId} ActivityId: ${jobId}`,
    startedAtMs: Date.now(),
    rerun: { orchestration: finalizeProtection, input },
  };
  await startOrchestration(client, { orchestration: finalizeProtection, vault, start, input });
  await ensureJob(services().table, vault, start);
}

async function advanceOrGone(ref: ItemRef) {
  try {
    return await advanceRecoveryPoints(services(), ref);
  } catch (error) {
    if (error instanceof DomainError && error.fault.code === 'ResourceNotFound') return undefined;
    throw error;
  }
}
