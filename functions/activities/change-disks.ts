/** What the Add disks and Remove disks jobs do. */
import { z } from 'zod';
import { getMachineNow } from '../../shared/discovery/physical-machine.ts';
import { getFabric } from '../../shared/fabric/appliance.ts';
import { scheduleOf } from '../../shared/policy/policy.ts';
import { getPolicy } from '../../shared/policy/policy-store.ts';
import { findItemRow } from '../../shared/protection/item-row.ts';
import { planAddDisks, planRemoveDisks } from '../../shared/protection/plan-disks.ts';
import { requireInTouch } from '../../shared/protection/prepare-enable.ts';
import { changeItem, itemNotFound } from '../../shared/protection/protected-item-store.ts';
import { type ProtectedItem, ProtectedItem as Item } from '../../shared/protection/protected-item.ts';
import { startCommand } from '../../shared/protection/start-command.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { ItemInput } from './protected-item.ts';

/** Which disks come or go. */
export const DiskChange = z.object({
  kind: z.enum(['AddDisks', 'RemoveDisks']),
  diskIds: z.array(z.string()),
});

const Disks = Item.pick({ disks: true, removedDisks: true });

async function heldRow({ vault, item, jobId }: z.infer<typeof ItemInput>) {
  const row = await findItemRow(services().table, vault, item);
  const isHeld = row?.item.protectedItemId === item.protectedItemId && row.item.currentJob?.jobId === jobId;
  if (row === undefined || !isHeld) throw itemNotFound(item);
  return row;
}

/** The item's disks as they are and as they are to be. @throws what stands against the change now. */
export const checkDisks = activity(
  'checkDisks',
  {
    input: ItemInput.extend({ change: DiskChange }),
    output: z.object({ biosUuid: z.guid(), before: Disks, after: Disks }),
  },
  async (input) => {
    const { vault, item, change } = input;
    const { table } = services();
    const row = await heldRow(input);
    const ref = { vault, applianceId: row.item.applianceId };
    await requireInTouch(table, ref, Date.now());
    const planned =
      change.kind === 'RemoveDisks'
        ? planRemoveDisks(row.item, row.progress, change.diskIds)
        : planAddDisks(row.item, await getMachineNow(table, ref, item.protectableItemName), change.diskIds);
    return { biosUuid: row.item.machine.biosUuid, before: disksOf(row.item), after: disksOf(planned) };
  },
);

/** The item has these disks from now on. Done again it changes nothing. */
export const putDisks = activity(
  'putDisks',
  { input: ItemInput.extend({ disks: Disks }), output: z.void() },
  async ({ vault, item, jobId, disks }) => {
    const changed = await changeItem(services().table, vault, item, (row) =>
      row.currentJob?.jobId === jobId ? { ...row, ...disks } : row,
    );
    if (changed === undefined) throw itemNotFound(item);
  },
);

/** Tells the appliance the item's disks as its row has them. The key is opened, sealed and sent here, so that it never lies in the history. */
export const sendDisks = activity(
  'sendDisks',
  {
    input: ItemInput.extend({
      head: z.object({ applianceId: z.string(), commandId: z.string(), issuedAtMs: z.number() }),
    }),
    output: z.void(),
  },
  async (input) => {
    const { table, commandQueues } = services();
    const { item } = await heldRow(input);
    const appliance = await getFabric(table, input.vault, item.fabricName);
    const schedule = scheduleOf(await getPolicy(table, input.vault, item.policyName));
    const { applianceId, ...head } = input.head;
    const body = await startCommand(services(), { item, appliance, schedule });
    await commandQueues.send(applianceId, { version: 1, ...head, body });
  },
);

function disksOf({ disks, removedDisks }: ProtectedItem): z.infer<typeof Disks> {
  return { disks, ...(removedDisks !== undefined && { removedDisks }) };
}
