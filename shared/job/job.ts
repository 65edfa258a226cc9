import { z } from 'zod';
import { Fault } from '../fault.ts';
import { scenarioNames, scenarioOf, type ScenarioName } from './scenario.ts';

/**
 * States of a job and of its tasks.
 * - NotStarted: waits for the tasks before it (jobs are InProgress from their first moment).
 * - InProgress: runs, or waits for an appliance.
 * - Succeeded, Failed, Cancelled: ended, for good.
 */
export const JobState = z.enum(['NotStarted', 'InProgress', 'Succeeded', 'Failed', 'Cancelled']);
export type JobState = z.infer<typeof JobState>;

const TaskRecord = z.object({
  /** The task's `name` in its scenario. */
  name: z.string(),
  state: JobState,
  startedAtMs: z.number().optional(),
  endedAtMs: z.number().optional(),
  /** What an appliance says of a task that takes long, while it runs. */
  progress: z.object({ step: z.string(), percent: z.number() }).optional(),
});

const JobErrorRecord = z.object({ fault: Fault, taskName: z.string().optional(), atMs: z.number() });

/** What is kept of a job. */
export const Job = z.object({
  jobId: z.uuid(),
  scenario: z.enum(scenarioNames),
  state: JobState,
  /** Id and name of the thing it is about, as Site Recovery shows them: a machine's GUID, a policy's, a server's name. */
  target: z.object({ id: z.string(), name: z.string() }),
  /** The resource that the operation was called on: types and names below the vault. */
  resource: z.array(z.tuple([z.string(), z.string()])),
  /** affectedObjectDetails. */
  affected: z.record(z.string(), z.string()),
  /** Ties the job to the request that started it. */
  activityId: z.string(),
  tasks: z.array(TaskRecord),
  errors: z.array(JobErrorRecord),
  startedAtMs: z.number(),
  endedAtMs: z.number().optional(),
  cancelRequestedAtMs: z.number().optional(),
  /** By what it can be run anew; only where its scenario allows that. Holds no secrets. */
  rerun: z.object({ orchestration: z.string(), input: z.unknown() }).optional(),
  /** The job that somebody restarted it as. */
  restartedAs: z.uuid().optional(),
});
export type Job = z.infer<typeof Job>;

/** What is to be known when a job starts. */
export const JobStart = Job.pick({
  jobId: true,
  scenario: true,
  target: true,
  resource: true,
  affected: true,
  activityId: true,
  startedAtMs: true,
  rerun: true,
});
export type JobStart = z.infer<typeof JobStart>;

/** How a job or task ended. */
export const Outcome = z.discriminatedUnion('state', [
  z.object({ state: z.literal('Succeeded') }),
  z.object({ state: z.literal('Failed'), fault: Fault }),
  z.object({ state: z.literal('Cancelled') }),
]);
export type Outcome = z.infer<typeof Outcome>;

/** A job at its first moment. */
export function newJob(start: JobStart): Job {
  return {
    ...start,
    state: 'InProgress',
    tasks: scenarioOf(start.scenario).tasks.map(({ name }) => ({ name, state: 'NotStarted' as const })),
    errors: [],
  };
}

/** Whether it has ended. */
export function isOver(state: JobState): boolean {
  return state !== 'NotStarted' && state !== 'InProgress';
}

/** The task runs from now on. Repeating it, or asking it of a job that is over, changes nothing. */
export function beginTask(job: Job, name: string, atMs: number): Job {
  return changeTask(job, name, (task) =>
    task.state === 'NotStarted' ? { ...task, state: 'InProgress', startedAtMs: atMs } : task,
  );
}

/** The task has ended. The first end stays: repeating it, even with another outcome, changes nothing. */
export function endTask(job: Job, name: string, end: { outcome: Outcome; atMs: number }): Job {
  const { outcome, atMs } = end;
  const ended = changeTask(job, name, (task) =>
    isOver(task.state)
      ? task
      : { ...task, state: outcome.state, startedAtMs: task.startedAtMs ?? atMs, endedAtMs: atMs },
  );
  if (ended === job || outcome.state !== 'Failed') return ended;
  return { ...ended, errors: [...ended.errors, { fault: outcome.fault, taskName: name, atMs }] };
}

/** The job has ended. The first end stays. Tasks that still ran end with it; those that never began stay so. */
export function endJob(job: Job, outcome: Outcome, atMs: number): Job {
  if (isOver(job.state)) return job;
  const tasks = job.tasks.map((task) =>
    task.state === 'InProgress' ? { ...task, state: outcome.state, endedAtMs: atMs } : task,
  );
  const told = job.errors.length > 0 || outcome.state !== 'Failed';
  const errors = told ? job.errors : [{ fault: outcome.fault, atMs }];
  return { ...job, state: outcome.state, tasks, errors, endedAtMs: atMs };
}

/** How far the task is that runs now. What is further already, or comes too late, stays as it is. */
export function noteProgress(job: Job, progress: { step: string; percent: number }): Job {
  const running = isOver(job.state) ? undefined : job.tasks.find(({ state }) => state === 'InProgress');
  if (running === undefined || (running.progress?.percent ?? -1) >= progress.percent) return job;
  return changeTask(job, running.name, (task) => ({ ...task, progress }));
}

/** What the job found or made, by name. */
export function noteAffected(job: Job, affected: Record<string, string>): Job {
  if (Object.entries(affected).every(([key, value]) => job.affected[key] === value)) return job;
  return { ...job, affected: { ...job.affected, ...affected } };
}

/** Somebody wants the job to stop. It ends when its present step has noticed. */
export function requestCancel(job: Job, atMs: number): Job {
  if (isOver(job.state) || job.cancelRequestedAtMs !== undefined) return job;
  return { ...job, cancelRequestedAtMs: atMs };
}

/** What a caller may do with the job now. */
export function allowedActions(
  job: Pick<Job, 'scenario' | 'state' | 'cancelRequestedAtMs' | 'rerun' | 'restartedAs'>,
): string[] {
  if (job.state === 'Failed' && job.rerun !== undefined && job.restartedAs === undefined) return ['Restart'];
  const running = !isOver(job.state) && job.cancelRequestedAtMs === undefined;
  return running && scenarioOf(job.scenario).cancellable ? ['Cancel'] : [];
}

/** Somebody restarts a failed job, as `jobId`. The first one who does so stays. */
export function restartAs(job: Job, jobId: string): Job {
  return allowedActions(job).includes('Restart') ? { ...job, restartedAs: jobId } : job;
}

/** The first thing that went wrong; what the caller of the operation is told. */
export function findFault(job: Job): Fault | undefined {
  return job.errors[0]?.fault;
}

function changeTask(
  job: Job,
  name: string,
  change: (task: Job['tasks'][number]) => Job['tasks'][number],
): Job {
  const before = job.tasks.find((task) => task.name === name);
  if (before === undefined)
    throw new RangeError(`a ${job.scenario satisfies ScenarioName} job has no task ${name}`);
  if (isOver(job.state)) return job;
  const after = change(before);
  if (after === before) return job;
  return { ...job, tasks: job.tasks.map((task) => (task === before ? after : task)) };
}
