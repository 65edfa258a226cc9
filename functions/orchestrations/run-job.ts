/**
 * Jobs as orchestrations. The orchestration's instance id is the job's id; what is seen of it lies in the job's row,
 * changed only through the transitions of shared/job, each of which may be repeated.
 */
import * as df from 'durable-functions';
import { type OrchestrationContext, type Task } from 'durable-functions';
import { z } from 'zod';
import { DomainError, Fault, isRetryable } from '../../shared/fault.ts';
import { JobStart, type Outcome } from '../../shared/job/job.ts';
import { type TaskName } from '../../shared/job/scenario.ts';
import { type Change, recordJob } from '../activities/record-job.ts';
import { VaultRefSchema } from '../activities/vault-ref.ts';

const JobInput = z.object({ vault: VaultRefSchema, start: JobStart, input: z.unknown() });

/** Name of the event by which a waiting job learns that it shall stop. */
export const cancelEvent = 'cancel';

/** A job while its orchestration runs. */
export interface JobRun {
  context: OrchestrationContext;
  vault: z.infer<typeof VaultRefSchema>;
  jobId: string;
  start: JobStart;
  /** Completes when somebody asked to cancel. Long waits race with it. */
  cancelled: Task;
  /**
   * What takes back what the steps did, newest first, when one fails or the job is cancelled. A step adds its own
   * before it acts; each is repeated until it gets through.
   */
  undo: (() => Generator<Task, void, unknown>)[];
}

/** Thrown in a job's steps when somebody cancelled it, so that what was done is undone. */
export class JobCancelled extends Error {
  constructor() {
    super('The job was cancelled.');
    this.name = 'JobCancelled';
  }
}

/** What a job does, and how it is taken back when a step fails or somebody cancels. */
export interface JobSteps<I> {
  run: (job: JobRun, input: I) => Generator<Task, void, unknown>;
  /** Removes what any number of steps may have left; the last of what takes back. See also {@link JobRun.undo}. */
  undo?: (job: JobRun, input: I) => Generator<Task, void, unknown>;
}

/**
 * Registers the orchestration of a job. Its steps are {@link runTask}s. The job ends Succeeded, Failed with the fault
 * that a step threw, or Cancelled; the last two not before everything is taken back.
 */
export function jobOrchestration<I>(name: string, input: z.ZodType<I>, steps: JobSteps<I>): void {
  df.app.orchestration(name, function* (context) {
    const given = JobInput.parse(context.df.getInput());
    const job: JobRun = {
      context,
      vault: given.vault,
      start: given.start,
      jobId: given.start.jobId,
      cancelled: context.df.waitForExternalEvent(cancelEvent),
      undo: [],
    };
    yield* record(job, { do: 'start', start: given.start });
    const own = input.parse(given.input);
    const { undo } = steps;
    if (undo !== undefined) job.undo.push(() => undo(job, own));
    const outcome = yield* outcomeOf(job, () => steps.run(job, own));
    yield* record(job, { do: 'finish', outcome, atMs: now(context) });
    return { state: outcome.state };
  });
}

/**
 * One task of a job: marks it as running, does it, marks how it ended. What it throws goes on to the job, after the
 * task's row tells why.
 * @throws JobCancelled before it begins, when somebody asked for that.
 */
export function* runTask<T>(
  job: JobRun,
  task: TaskName,
  steps: () => Generator<Task, T, unknown>,
): Generator<Task, T, unknown> {
  const { cancelRequested } = yield* record(job, { do: 'begin', task, atMs: now(job.context) });
  try {
    if (cancelRequested) throw new JobCancelled();
    const result = yield* steps();
    yield* record(job, { do: 'end', task, outcome: { state: 'Succeeded' }, atMs: now(job.context) });
    return result;
  } catch (error) {
    yield* record(job, { do: 'end', task, outcome: failureOf(error), atMs: now(job.context) });
    throw error;
  }
}

/** Adds to the job what it found or made, by name: affectedObjectDetails. */
export function* noteJob(job: JobRun, affected: Record<string, string>): Generator<Task, void, unknown> {
  yield* record(job, { do: 'note', affected });
}

function* outcomeOf(
  job: JobRun,
  run: () => Generator<Task, void, unknown>,
): Generator<Task, Outcome, unknown> {
  try {
    yield* run();
    return { state: 'Succeeded' };
  } catch (error) {
    for (const step of job.undo.toReversed()) yield* persist(job, step);
    return failureOf(error);
  }
}

/** Undoing is tried again as long as only passing faults stand in the way, for about three days. */
function* persist(job: JobRun, undo: () => Generator<Task, void, unknown>): Generator<Task, void, unknown> {
  for (let tries = 1; ; tries += 1) {
    try {
      yield* undo();
      return;
    } catch (error) {
      if (!(error instanceof DomainError && isRetryable(error.fault)) || tries === 80) return;
      const waitMs = Math.min(60_000 * 2 ** Math.min(tries, 6), 3_600_000);
      yield job.context.df.createTimer(new Date(now(job.context) + waitMs));
    }
  }
}

function* record(job: JobRun, change: Change): Generator<Task, { cancelRequested: boolean }, unknown> {
  return yield* recordJob(job.context, { vault: job.vault, jobId: job.jobId, change });
}

function failureOf(error: unknown): Outcome {
  if (error instanceof JobCancelled) return { state: 'Cancelled' };
  return { state: 'Failed', fault: error instanceof DomainError ? error.fault : mistake };
}

/** What is told of a bug: the log has the rest. */
const mistake: Fault = {
  code: 'Unavailable',
  armCode: 'InternalServerError',
  message: 'The service made a mistake in this step; its log has the details under the job’s id.',
  recommendedAction: 'Repeat the operation; where it fails again, report it with the job’s id.',
};

function now(context: OrchestrationContext): number {
  return context.df.currentUtcDateTime.getTime();
}
