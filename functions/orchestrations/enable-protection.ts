/**
 * The Enable replication job. What it makes, in this order: the item's row (made by the request itself), the claim on
 * the machine, the container with the data key, the appliance's assignment. A failed or cancelled job takes all of it
 * back, newest first, and leaves only itself.
 */
import { type Task } from 'durable-functions';
import { z } from 'zod';
import { DomainError, type Fault } from '../../shared/fault.ts';
import {
  checkEnable,
  lookForProgress,
  prepareReplica,
  sendStartReplication,
} from '../activities/enable-protection.ts';
import {
  type ItemHandleInput,
  ItemHandleSchema,
  forgetItem,
  itemInput,
  moveItem,
} from '../activities/protected-item.ts';
import { findPushTarget } from '../activities/push-target.ts';
import { type CommandHead, askAppliance } from './ask-appliance.ts';
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
  const { push } = yield* findPushTarget(job.context, { ...item, accountId: undefined });
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
      ...(push === undefined ? {} : { push }),
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
