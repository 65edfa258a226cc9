/** What the Resynchronize the virtual machine job does. */
import { z } from 'zod';
import { DomainError, Fault } from '../../shared/fault.ts';
import { findItemRow, itemRef } from '../../shared/protection/item-row.ts';
import { requireProtected } from '../../shared/protection/plan-disks.ts';
import { requireInTouch } from '../../shared/protection/prepare-enable.ts';
import { getItem, itemNotFound } from '../../shared/protection/protected-item-store.ts';
import { advanceRecoveryPoints } from '../../shared/recovery/advance.ts';
import { type ItemProgress } from '../../shared/wire/check-in.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { ItemInput } from './protected-item.ts';

/**
 * Follows the replica log to its end, so that what is sent goes behind points that are all proven.
 * @throws Conflict, RemoteFailure; ReplicaDamaged when the log is broken, which no resynchronization mends.
 */
export const checkRepair = activity(
  'checkRepair',
  { input: ItemInput, output: z.void() },
  async ({ vault, item }) => {
    const { table } = services();
    const row = await getItem(table, vault, item);
    requireProtected(row);
    await requireInTouch(table, { vault, applianceId: row.applianceId }, Date.now());
    const anchor = await advanceRecoveryPoints(services(), itemRef(vault, row));
    if (anchor?.defect === undefined) return;
    const { blob, detail } = anchor.defect;
    throw new DomainError({
      code: 'ReplicaDamaged',
      message: `The replica log of '${row.itemName}' is broken at '${blob}': ${detail}.`,
      target: blob,
      possibleCauses: 'The blob was altered, or written by something else than the appliance.',
      recommendedAction:
        'A resynchronization adds to the log and does not mend it. The recovery points before stay good until you disable replication and enable it again.',
    });
  },
);

/** Whether the resynchronization has begun, and what stands in its way where the appliance says so. */
export const lookForResync = activity(
  'lookForResync',
  {
    input: ItemInput.extend({ request: z.number() }),
    output: z.object({ begun: z.boolean(), fault: Fault.optional() }),
  },
  async ({ vault, item, request }) => {
    const row = await findItemRow(services().table, vault, item);
    if (row?.item.protectedItemId !== item.protectedItemId) throw itemNotFound(item);
    const told = row.progress?.progress;
    if (told === undefined) return { begun: false };
    return { begun: hasBegun(told, request), ...(told.fault !== undefined && { fault: told.fault }) };
  },
);

function hasBegun({ phase, resync }: ItemProgress, request: number): boolean {
  if (resync === undefined) return false;
  return resync.done >= request || (phase === 'Resync' && resync.asked >= request);
}
