/**
 * The Enable replication job. What it makes, in this order: the item's row (made by the request itself), the claim on
 * the machine, the container with the data key, the appliance's assignment. A failed or cancelled job takes all of it
 * back, newest first, and leaves only itself.
 */
import { type Task } from 'durable-functions';
import { z } from 'zod';
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { findAppliance } from '../../shared/fabric/appliance.ts';
import { ensureApplianceItem } from '../../shared/fabric/appliance-item.ts';
import { findProgress } from '../../shared/fabric/progress.ts';
import { DomainError, Fault } from '../../shared/fault.ts';
import { scheduleOf } from '../../shared/policy/policy.ts';
import { getPolicy } from '../../shared/policy/policy-store.ts';
import { checkEnable as check } from '../../shared/protection/prepare-enable.ts';
import { getItem, itemNotFound } from '../../shared/protection/protected-item-store.ts';
import { diskRefs, type ProtectedItem } from '../../shared/protection/protected-item.ts';
import { ensureReplicaContainer, openDataKey } from '../../shared/protection/replica-container.ts';
import { refuseTarget } from '../../shared/protection/refuse-target.ts';
import { sealDataKey } from '../../shared/protection/seal-data-key.ts';
import { findAnchor } from '../../shared/recovery/recovery-point-store.ts';
import { VaultStore } from '../../shared/vault/vault.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { type CommandHead, askAppliance } from './ask-appliance.ts';
import {
  type ItemHandleInput,
  ItemHandleSchema,
  ItemInput,
  forgetItem,
  itemInput,
  moveItem,
} from './item-activities.ts';
import { JobCancelled, type JobRun, jobOrchestration, runTask } from './run-job.ts';

/** Orchestration's name. */
export const enableProtection = 'enableProtection';

export const EnableProtectionInput = z.object({
  item: ItemHandleSchema,
  machineName: z.string(),
  /** How long the mobility agent, the appliance and the first bytes may each take. */
  waitMinutes: z.number().positive(),
});
type EnableProtectionInput = z.infer<typeof EnableProtectionInput>;

/** An undo must not wait long for an appliance that may be gone; its queue keeps the command. */
const stopMinutes = 2;

async function itemOf({ vault, item, jobId }: z.infer<typeof ItemInput>): Promise<ProtectedItem> {
  const row = await getItem(services().table, vault, item);
  if (row.protectedItemId === item.protectedItemId && row.enableJobId === jobId) return row;
  throw itemNotFound(item);
}

const checkEnable = activity('checkEnable', { input: ItemInput, output: z.void() }, async (input) => {
  const item = await itemOf(input);
  await check(services().table, input.vault, item);
  await checkTarget(input.vault, item);
});

/** Looks at the storage account and network that the request named, as they are now. */
async function checkTarget(ref: VaultRef, { target }: ProtectedItem): Promise<void> {
  const storageAccountId = target.storageAccountId ?? target.logStorageAccountId;
  const virtualNetworkId = target.networkId;
  if (storageAccountId === undefined && virtualNetworkId === undefined) return;
  const { table, targetAccess } = services();
  const { value: vault } = await new VaultStore(table).get(ref);
  // Imported when it is first needed: the ARM clients are large.
  const { checkTargetEnvironment } = await import('../../shared/target/target-environment.ts');
  const question = {
    storageAccountId,
    virtualNetworkId,
    subnetName: target.subnetName,
    region: vault.location,
  };
  const { checks } = await checkTargetEnvironment(await targetAccess(), question);
  refuseTarget(checks);
}

const Machine = z.object({
  biosUuid: z.guid(),
  disks: z.array(z.object({ diskId: z.string(), sizeBytes: z.number() })),
});

/** Makes the container with its key, then lets the appliance write into it. */
const prepareReplica = activity('prepareReplica', { input: ItemInput, output: Machine }, async (input) => {
  const row = await itemOf(input);
  const { table } = services();
  const { protectedItemId, fabricName, containerName, itemName, applianceId } = row;
  await ensureReplicaContainer(services(), protectedItemId);
  const item = { protectedItemId, fabricName, containerName, itemName };
  await ensureApplianceItem(table, { vault: input.vault, applianceId }, item);
  return { biosUuid: row.machine.biosUuid, disks: diskRefs(row) };
});

/** The key is opened, sealed and sent in one activity, so that it never lies in the history, not even sealed. */
const sendStartReplication = activity(
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
    const dataKey = await openDataKey(services(), row.protectedItemId);
    const { applianceId, commandId, issuedAtMs } = input.head;
    await commandQueues.send(applianceId, {
      version: 1,
      commandId,
      issuedAtMs,
      body: {
        kind: 'startReplication',
        protectedItemId: row.protectedItemId,
        biosUuid: row.machine.biosUuid,
        machineName: row.machine.name,
        disks: diskRefs(row),
        sealedDataKey: await sealDataKey(dataKey, appliance.encryptionKey),
        schedule: scheduleOf(policy),
      },
    });
  },
);

/** Whether the appliance has begun to send, and what stands in its way where it says so. */
const lookForProgress = activity(
  'lookForProgress',
  { input: ItemInput, output: z.object({ begun: z.boolean(), fault: Fault.optional() }) },
  async ({ vault, item }) => {
    const { table } = services();
    const [kept, anchor] = await Promise.all([
      findProgress(table, { vault, applianceId: item.applianceId }, item.protectedItemId),
      findAnchor(table, { vault, protectedItemId: item.protectedItemId }),
    ]);
    const fault = kept?.progress.fault;
    return { begun: anchor !== undefined || (kept !== undefined && fault === undefined), fault };
  },
);

jobOrchestration(enableProtection, EnableProtectionInput, {
  *run(job, input) {
    const item = itemInput(job, input.item);
    job.undo.push(() => forgetItem(job.context, item));
    yield* runTask(job, 'EnableProtectionPrerequisitesCheck', () => checkEnable(job.context, item));
    yield* runTask(job, 'CreateProtectionTarget', () => prepareTarget(job, input));
    yield* runTask(job, 'EnableProtection', () => startReplication(job, input));
    yield* runTask(job, 'VmStartInitialReplication', () => waitForProgress(job, input));
    yield* runTask(job, 'UpdateDraState', () =>
      moveItem(job.context, { ...item, transition: { to: 'replicationStarted' } }),
    );
  },
});

function* prepareTarget(job: JobRun, input: EnableProtectionInput): Generator<Task, void, unknown> {
  const item = itemInput(job, input.item);
  const machine = yield* prepareReplica(job.context, item);
  job.undo.push(() => stopReplication(job, input.item));
  const { agentVersion } = yield* askAppliance(job.context, {
    vault: job.vault,
    applianceId: input.item.applianceId,
    step: 'prepareMachine',
    timeoutMinutes: input.waitMinutes,
    cancelled: job.cancelled,
    body: {
      kind: 'prepareMachine',
      protectedItemId: input.item.protectedItemId,
      machineName: input.machineName,
      ...machine,
    },
  });
  yield* moveItem(job.context, { ...item, transition: { to: 'agentReady', version: agentVersion } });
}

function* startReplication(job: JobRun, input: EnableProtectionInput): Generator<Task, void, unknown> {
  yield* askAppliance(job.context, {
    vault: job.vault,
    applianceId: input.item.applianceId,
    step: 'startReplication',
    timeoutMinutes: input.waitMinutes,
    cancelled: job.cancelled,
    send: (head: CommandHead) => sendStartReplication(job.context, { ...itemInput(job, input.item), head }),
  });
}

/** Looks every second at first, then less often. */
function* waitForProgress(job: JobRun, input: EnableProtectionInput): Generator<Task, void, unknown> {
  const { context } = job;
  const startedAtMs = context.df.currentUtcDateTime.getTime();
  const deadlineMs = startedAtMs + input.waitMinutes * 60_000;
  for (;;) {
    const { begun, fault } = yield* lookForProgress(context, itemInput(job, input.item));
    if (begun) return;
    const nowMs = context.df.currentUtcDateTime.getTime();
    if (nowMs >= deadlineMs) throw noProgress(input, fault);
    if (job.cancelled.isCompleted) throw new JobCancelled();
    const pauseMs = Math.min(15_000, Math.max(1_000, (nowMs - startedAtMs) / 4));
    const timer = context.df.createTimer(new Date(Math.min(nowMs + pauseMs, deadlineMs)));
    const first = yield context.df.Task.any([timer, job.cancelled]);
    if (first !== timer) timer.cancel();
  }
}

function noProgress(input: EnableProtectionInput, fault: Fault | undefined): DomainError {
  return new DomainError(
    fault ?? {
      code: 'RemoteFailure',
      message: `The first data of '${input.machineName}' did not arrive within ${input.waitMinutes} minutes.`,
      possibleCauses:
        'The mobility agent can not reach the process server, or the process server can not reach Storage.',
      recommendedAction: 'Check both, then enable replication again.',
    },
  );
}

/** Asks the appliance to let go of the item, and goes on when it does not answer. */
export function* stopReplication(job: JobRun, item: ItemHandleInput): Generator<Task, void, unknown> {
  try {
    yield* askAppliance(job.context, {
      vault: job.vault,
      applianceId: item.applianceId,
      step: 'stopReplication',
      timeoutMinutes: stopMinutes,
      body: { kind: 'stopReplication', protectedItemId: item.protectedItemId },
    });
  } catch (error) {
    // What it still sends, it can no longer write: its grant goes next.
    if (!(error instanceof DomainError)) throw error;
  }
}
