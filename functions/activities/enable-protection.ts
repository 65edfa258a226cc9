/** What the Enable replication job does. */
import { z } from 'zod';
import { findAppliance } from '../../shared/fabric/appliance.ts';
import { ensureApplianceItem } from '../../shared/fabric/appliance-item.ts';
import { DomainError, Fault } from '../../shared/fault.ts';
import { scheduleOf } from '../../shared/policy/policy.ts';
import { getPolicy } from '../../shared/policy/policy-store.ts';
import { checkEnable as check } from '../../shared/protection/prepare-enable.ts';
import { getItem, itemNotFound } from '../../shared/protection/protected-item-store.ts';
import { diskRefs, type ProtectedItem } from '../../shared/protection/protected-item.ts';
import { ensureReplicaContainer } from '../../shared/protection/replica-container.ts';
import { startCommand } from '../../shared/protection/start-command.ts';
import { findItemRow } from '../../shared/protection/item-row.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { checkTarget } from './check-target.ts';
import { ItemInput } from './protected-item.ts';

async function itemOf({ vault, item, jobId }: z.infer<typeof ItemInput>): Promise<ProtectedItem> {
  const row = await getItem(services().table, vault, item);
  if (row.protectedItemId === item.protectedItemId && row.enableJobId === jobId) return row;
  throw itemNotFound(item);
}

/** @throws what stands against protecting the machine now. */
export const checkEnable = activity('checkEnable', { input: ItemInput, output: z.void() }, async (input) => {
  const item = await itemOf(input);
  await check(services().table, input.vault, item);
  await checkTarget(input.vault, item);
});

const Machine = z.object({
  biosUuid: z.guid(),
  disks: z.array(z.object({ diskId: z.string(), sizeBytes: z.number() })),
});

/** Makes the container with its key, then lets the appliance write into it. */
export const prepareReplica = activity(
  'prepareReplica',
  { input: ItemInput, output: Machine },
  async (input) => {
    const row = await itemOf(input);
    const { table } = services();
    const { protectedItemId, fabricName, containerName, itemName, applianceId } = row;
    await ensureReplicaContainer(services(), protectedItemId);
    const item = { protectedItemId, fabricName, containerName, itemName };
    await ensureApplianceItem(table, { vault: input.vault, applianceId }, item);
    return { biosUuid: row.machine.biosUuid, disks: diskRefs(row) };
  },
);

/** The key is opened, sealed and sent in one activity, so that it never lies in the history, not even sealed. */
export const sendStartReplication = activity(
  'sendStartReplication',
  {
    input: ItemInput.extend({
      head: z.object({ applianceId: z.string(), commandId: z.string(), issuedAtMs: z.number() }),
    }),
    output: z.void(),
  },
  async (input) => {
    const { table, commandQueues } = services();
    const row = await itemOf(input);
    const appliance = await findAppliance(table, input.vault, row.applianceId);
    if (appliance === undefined) {
      throw new DomainError({
        code: 'ResourceNotFound',
        message: `The configuration server of '${row.machine.name}' is no longer registered.`,
      });
    }
    const policy = await getPolicy(table, input.vault, row.policyName);
    const { applianceId, commandId, issuedAtMs } = input.head;
    await commandQueues.send(applianceId, {
      version: 1,
      commandId,
      issuedAtMs,
      body: await startCommand(services(), { item: row, appliance, schedule: scheduleOf(policy) }),
    });
  },
);

/** Whether the appliance has begun to send, and what stands in its way where it says so. */
export const lookForProgress = activity(
  'lookForProgress',
  { input: ItemInput, output: z.object({ begun: z.boolean(), fault: Fault.optional() }) },
  async ({ vault, item }) => {
    const row = await findItemRow(services().table, vault, item);
    if (row?.item.protectedItemId !== item.protectedItemId) throw itemNotFound(item);
    const { progress: kept, anchor } = row;
    const fault = kept?.progress.fault;
    return { begun: anchor !== undefined || (kept !== undefined && fault === undefined), fault };
  },
);
