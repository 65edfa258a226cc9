import { z } from 'zod';
import { recordJobFailure } from '../../shared/event/job-event.ts';
import { changeJob, ensureJob } from '../../shared/job/job-store.ts';
import {
  beginTask,
  endJob,
  endTask,
  type Job,
  JobStart,
  noteAffected,
  Outcome,
} from '../../shared/job/job.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { VaultRefSchema } from './vault-ref.ts';

/** What may be told of a job, each of which may be told again. */
const Change = z.discriminatedUnion('do', [
  z.object({ do: z.literal('start'), start: JobStart }),
  z.object({ do: z.literal('begin'), task: z.string(), atMs: z.number() }),
  z.object({ do: z.literal('end'), task: z.string(), outcome: Outcome, atMs: z.number() }),
  z.object({ do: z.literal('note'), affected: z.record(z.string(), z.string()) }),
  z.object({ do: z.literal('finish'), outcome: Outcome, atMs: z.number() }),
]);
export type Change = z.infer<typeof Change>;

/** Applies one transition of shared/job to the job's row; tells whether somebody wants the job to stop. */
export const recordJob = activity(
  'recordJob',
  {
    input: z.object({ vault: VaultRefSchema, jobId: z.string(), change: Change }),
    output: z.object({ cancelRequested: z.boolean() }),
  },
  async ({ vault, jobId, change }) => {
    const { table } = services();
    if (change.do === 'start') await ensureJob(table, vault, change.start);
    const job = await changeJob(table, { vault, jobId }, (job) => applyChange(job, change));
    if (change.do === 'finish') await recordJobFailure(table, vault, job);
    return { cancelRequested: job.cancelRequestedAtMs !== undefined };
  },
);

function applyChange(job: Job, change: Change): Job {
  if (change.do === 'begin') return beginTask(job, change.task, change.atMs);
  if (change.do === 'end') return endTask(job, change.task, change);
  if (change.do === 'note') return noteAffected(job, change.affected);
  return change.do === 'finish' ? endJob(job, change.outcome, change.atMs) : job;
}
