/**
 * The Add disks and Remove disks jobs. The row changes first, then the appliance hears of it; when it does not answer,
 * the row is taken back and the appliance told so, in that order: commands about one item are done in the order they came.
 */
import { type Task } from 'durable-functions';
import { z } from 'zod';
import { DiskChange, checkDisks, putDisks, sendDisks } from '../activities/change-disks.ts';
import { ItemHandleSchema, itemInput, moveItem, takeItem } from '../activities/protected-item.ts';
import { type CommandHead, askAppliance } from './ask-appliance.ts';
import { type JobRun, jobOrchestration, runTask } from './run-job.ts';

/** Orchestration's name. */
export const changeDisks = 'changeDisks';

export const ChangeDisksInput = z.object({
  item: ItemHandleSchema,
  machineName: z.string(),
  change: DiskChange,
  /** How long the mobility agent and the appliance may each take. */
  waitMinutes: z.number().positive(),
});
type ChangeDisksInput = z.infer<typeof ChangeDisksInput>;

/** An undo must not wait long for an appliance that may be gone; its queue keeps the command. */
const undoMinutes = 2;

jobOrchestration(changeDisks, ChangeDisksInput, {
  *run(job, input) {
    const { context } = job;
    const item = itemInput(job, input.item);
    const startedAtMs = context.df.currentUtcDateTime.getTime();
    job.undo.push(() => moveItem(context, { ...item, transition: { to: 'left' } }));
    const { before, after } = yield* runTask(job, 'DisksPrerequisitesCheck', function* () {
      yield* takeItem(context, { ...item, scenario: input.change.kind, startedAtMs });
      const planned = yield* checkDisks(context, { ...item, change: input.change });
      if (input.change.kind === 'AddDisks') yield* requireAgent(job, input, planned);
      return planned;
    });
    yield* runTask(job, 'ChangeDisks', function* () {
      job.undo.push(function* () {
        yield* putDisks(context, { ...item, disks: { removedDisks: [], ...before } });
        yield* tellAppliance(job, input, { step: 'takeDisksBack', minutes: undoMinutes });
      });
      yield* putDisks(context, { ...item, disks: after });
      yield* tellAppliance(job, input, { step: 'changeDisks', minutes: input.waitMinutes });
    });
    yield* runTask(job, 'UpdateDraState', () => moveItem(context, { ...item, transition: { to: 'left' } }));
  },
});

/** The mobility agent must see every disk, at the size that the vault knows. */
function* requireAgent(
  job: JobRun,
  input: ChangeDisksInput,
  planned: { biosUuid: string; before: DiskList; after: DiskList },
): Generator<Task, void, unknown> {
  const known = new Set(planned.before.disks.map(({ diskId }) => diskId));
  const disks = planned.after.disks
    .filter(({ diskId }) => !known.has(diskId))
    .map(({ diskId, sizeBytes }) => ({ diskId, sizeBytes }));
  if (disks.length === 0) return;
  yield* askAppliance(job.context, {
    vault: job.vault,
    applianceId: input.item.applianceId,
    step: 'prepareDisks',
    timeoutMinutes: input.waitMinutes,
    cancelled: job.cancelled,
    body: {
      kind: 'prepareMachine',
      protectedItemId: input.item.protectedItemId,
      biosUuid: planned.biosUuid,
      machineName: input.machineName,
      disks,
    },
  });
}

type DiskList = { disks: { diskId: string; sizeBytes: number }[] };

function* tellAppliance(
  job: JobRun,
  input: ChangeDisksInput,
  { step, minutes }: { step: string; minutes: number },
): Generator<Task, void, unknown> {
  yield* askAppliance(job.context, {
    vault: job.vault,
    applianceId: input.item.applianceId,
    step,
    timeoutMinutes: minutes,
    send: (head: CommandHead) => sendDisks(job.context, { ...itemInput(job, input.item), head }),
  });
}
