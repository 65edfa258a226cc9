import { armResource } from '../arm/resource.ts';
import type { VaultRef } from '../arm/resource-id.ts';
import type { Fault } from '../fault.ts';
import { allowedActions, findFault, isOver, type Job, type JobState } from './job.ts';
import { scenarioOf } from './scenario.ts';

/** How Site Recovery writes a moment that has not come. */
const NEVER = '0001-01-01T00:00:00';

/** Where an export of jobs lies, and the token that reads it for an hour. */
export interface JobExport {
  blobUri: string;
  sasToken: string;
}

/** A job as GET answers it: with tasks and details. */
export function jobAnswer(vault: VaultRef, job: Job, exported?: JobExport) {
  return armResource(vault, [['replicationJobs', job.jobId]], {
    ...summary(job),
    activityId: job.activityId,
    tasks: scenarioOf(job.scenario).tasks.map((task, index) => taskAnswer(task, job.tasks[index])),
    errors: job.errors.map((error) => errorAnswer(job, error)),
    customDetails:
      exported === undefined
        ? { instanceType: 'AsrJobDetails', affectedObjectDetails: job.affected }
        : { instanceType: 'ExportJobDetails', affectedObjectDetails: job.affected, ...exported },
  });
}

/** A job as a list answers it: `tasks` empty, `activityId` and `customDetails` null, as the real service does. */
export function jobListAnswer(vault: VaultRef, job: Job) {
  return armResource(vault, [['replicationJobs', job.jobId]], {
    ...summary(job),
    activityId: null,
    tasks: [],
    errors: job.errors.map((error) => errorAnswer(job, error)),
    customDetails: null,
  });
}

/** The body of `replicationOperationStatus/{jobId}`. A failed job's error stands there innermost, as the SDK needs it. */
export function operationStatusAnswer(job: Job) {
  const fault = findFault(job);
  return {
    id: null,
    name: job.jobId,
    status: statusOf(job.state),
    startTime: time(job.startedAtMs),
    ...(job.endedAtMs === undefined ? {} : { endTime: time(job.endedAtMs) }),
    percentComplete: null,
    properties: null,
    error: job.state === 'Failed' && fault !== undefined ? faultAnswer(fault) : cancelledError(job),
  };
}

/** ARM's error object for a fault, without the envelope. */
export function faultAnswer(fault: Fault) {
  return {
    code: fault.armCode ?? fault.code,
    message: [fault.message, fault.recommendedAction].filter((part) => part !== undefined).join(' '),
    ...(fault.target === undefined ? {} : { target: fault.target }),
  };
}

function cancelledError(job: Job) {
  if (job.state !== 'Cancelled') return null;
  return { code: 'OperationCancelled', message: 'The job was cancelled, and what it had begun was undone.' };
}

/** ARM spells the state with one l, and knows no NotStarted. */
function statusOf(state: JobState): string {
  if (state === 'Cancelled') return 'Canceled';
  return state === 'NotStarted' ? 'InProgress' : state;
}

function summary(job: Job) {
  const scenario = scenarioOf(job.scenario);
  return {
    scenarioName: job.scenario,
    friendlyName: scenario.friendlyName,
    state: job.state,
    stateDescription: describe(job.state),
    startTime: time(job.startedAtMs),
    ...(job.endedAtMs === undefined ? {} : { endTime: time(job.endedAtMs) }),
    allowedActions: allowedActions(job),
    targetObjectId: job.target.id,
    targetObjectName: job.target.name,
    targetInstanceType: scenario.targetInstanceType,
  };
}

function taskAnswer(
  definition: { taskId: string; name: string; friendlyName: string },
  record: Job['tasks'][number] | undefined,
) {
  const state = record?.state ?? 'NotStarted';
  return {
    taskId: definition.taskId,
    name: definition.name,
    startTime: record?.startedAtMs === undefined ? NEVER : time(record.startedAtMs),
    endTime: record?.endedAtMs === undefined || !isOver(state) ? NEVER : time(record.endedAtMs),
    allowedActions: [],
    friendlyName: definition.friendlyName,
    state,
    stateDescription: describe(state) + describeProgress(record),
    taskType: 'TaskDetails',
    customDetails: { instanceType: 'TaskDetails' },
    groupTaskCustomDetails: null,
    errors: [],
  };
}

function errorAnswer(job: Job, error: Job['errors'][number]) {
  const { fault } = error;
  const task = scenarioOf(job.scenario).tasks.find(({ name }) => name === error.taskName);
  return {
    serviceErrorDetails: {
      code: fault.armCode ?? fault.code,
      message: fault.message,
      possibleCauses: fault.possibleCauses ?? '',
      recommendedAction: fault.recommendedAction ?? '',
      activityId: job.activityId,
    },
    providerErrorDetails: null,
    errorLevel: 'Error',
    creationTime: time(error.atMs),
    taskId: task?.taskId ?? '',
  };
}

function describe(state: JobState): string {
  return state === 'Succeeded' ? 'Completed' : state;
}

/** The real service tells no progress here; who shows the description shows it to a person. */
function describeProgress(record: Job['tasks'][number] | undefined): string {
  if (record?.progress === undefined || record.state !== 'InProgress') return '';
  const { step, percent } = record.progress;
  return `: ${step} (${percent} %)`;
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}
