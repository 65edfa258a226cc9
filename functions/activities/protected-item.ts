/** What the jobs of protected items have in common: which item, and changes of its row. */
import { z } from 'zod';
import { getJob } from '../../shared/job/job-store.ts';
import { isOver } from '../../shared/job/job.ts';
import { forgetItem as forget } from '../../shared/protection/forget-item.ts';
import { holdItem, itemBusy } from '../../shared/protection/hold-item.ts';
import { changeItem, getItem, itemNotFound } from '../../shared/protection/protected-item-store.ts';
import { type ProtectedItem } from '../../shared/protection/protected-item.ts';
import {
  agentReady,
  agentUpdated,
  disabling,
  jobLeaves,
  jobTakes,
  nowProtected,
  replicationStarted,
} from '../../shared/protection/transitions.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { VaultRefSchema } from './vault-ref.ts';

/** Which item a job is about: enough to find, and to remove, all there is of it. */
export const ItemHandleSchema = z.object({
  fabricName: z.string(),
  containerName: z.string(),
  itemName: z.string(),
  protectedItemId: z.uuid(),
  protectableItemName: z.string(),
  applianceId: z.uuid(),
});
export type ItemHandleInput = z.infer<typeof ItemHandleSchema>;

export const ItemInput = z.object({ vault: VaultRefSchema, item: ItemHandleSchema, jobId: z.uuid() });

/** What activities are told of the item of a job. */
export function itemInput(
  job: { vault: z.infer<typeof VaultRefSchema>; jobId: string },
  item: ItemHandleInput,
): z.infer<typeof ItemInput> {
  return { vault: job.vault, item, jobId: job.jobId };
}

/** The handle of an item that has a row. */
export function handleOf(item: ProtectedItem): ItemHandleInput {
  const { fabricName, containerName, itemName, protectedItemId, applianceId } = item;
  const { protectableItemName } = item.machine;
  return { fabricName, containerName, itemName, protectedItemId, protectableItemName, applianceId };
}

const Transition = z.discriminatedUnion('to', [
  z.object({ to: z.literal('agentReady'), version: z.string().optional() }),
  z.object({ to: z.literal('agentUpdated'), version: z.string().optional() }),
  z.object({ to: z.literal('replicationStarted') }),
  z.object({ to: z.literal('taken'), scenario: z.enum(['IrCompletion']), atMs: z.number() }),
  z.object({ to: z.literal('protected'), atMs: z.number() }),
  z.object({ to: z.literal('disabling') }),
  z.object({ to: z.literal('left') }),
]);

/**
 * Applies one transition of shared/protection to the item's row. Done again it changes nothing.
 * @throws ResourceNotFound when the item is gone.
 */
export const moveItem = activity(
  'moveItem',
  { input: ItemInput.extend({ transition: Transition }), output: z.void() },
  async ({ vault, item, jobId, transition }) => {
    const changed = await changeItem(services().table, vault, item, (row) => applied(row, jobId, transition));
    if (changed === undefined) throw itemNotFound(item);
  },
);

/**
 * Takes hold of the item for the job. Done again it changes nothing.
 * @throws Conflict while another job holds it, ResourceNotFound when it is gone.
 */
export const takeItem = activity(
  'takeItem',
  {
    input: ItemInput.extend({
      scenario: z.enum([
        'UpdateVmProperties',
        'RepairVMReplication',
        'AddDisks',
        'RemoveDisks',
        'UpdateMobilityService',
      ]),
      startedAtMs: z.number(),
    }),
    output: z.void(),
  },
  async ({ vault, item, jobId, scenario, startedAtMs }) => {
    const { table } = services();
    const row = await getItem(table, vault, item);
    if (row.protectedItemId !== item.protectedItemId) throw itemNotFound(item);
    if (row.currentJob?.jobId === jobId) return;
    await holdItem(table, vault, row, { jobId, scenario, startedAtMs });
  },
);

/** The request took hold of the item for this job. A purge may have taken it away since. */
export const requireHold = activity(
  'requireHold',
  { input: ItemInput, output: z.void() },
  async ({ vault, item, jobId }) => {
    const row = await getItem(services().table, vault, item);
    if (row.protectedItemId !== item.protectedItemId) throw itemNotFound(item);
    if (row.currentJob?.jobId !== jobId) throw itemBusy(row);
  },
);

/** Whether the item is held by no other job any more, so that it can be finalized. */
export const isEnabled = activity(
  'isEnabled',
  { input: ItemInput, output: z.object({ enabled: z.boolean() }) },
  async ({ vault, item, jobId }) => {
    const { table } = services();
    const row = await getItem(table, vault, item);
    const { currentJob } = row;
    if (currentJob === undefined || currentJob.jobId === jobId) {
      return { enabled: row.state !== 'EnablingProtection' };
    }
    const holder = await getJob(table, { vault, jobId: currentJob.jobId });
    return { enabled: isOver(holder.state) && row.state !== 'EnablingProtection' };
  },
);

/** Removes the item with its data, its rows and its claim on the machine. */
export const forgetItem = activity(
  'forgetItem',
  { input: ItemInput, output: z.void() },
  async ({ vault, item }) => {
    await forget(services(), vault, item);
  },
);

function applied(row: ProtectedItem, jobId: string, transition: z.infer<typeof Transition>): ProtectedItem {
  switch (transition.to) {
    case 'agentReady':
      return agentReady(row, { jobId, version: transition.version });
    case 'agentUpdated':
      return agentUpdated(row, transition.version);
    case 'replicationStarted':
      return jobLeaves(replicationStarted(row, jobId), jobId);
    case 'taken':
      return jobTakes(row, { jobId, scenario: transition.scenario, startedAtMs: transition.atMs });
    case 'protected':
      return jobLeaves(nowProtected(row, transition.atMs), jobId);
    case 'disabling':
      return disabling(row, jobId);
    case 'left':
      return jobLeaves(row, jobId);
    default:
      return row;
  }
}
