import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findJobOrder, jobIdAt } from './job-id.ts';
import {
  allowedActions,
  beginTask,
  endJob,
  endTask,
  isOver,
  type Job,
  newJob,
  type Outcome,
  requestCancel,
} from './job.ts';
import { acceptedResponse } from './accepted.ts';
import { jobAnswer, jobListAnswer, operationStatusAnswer } from './job-answer.ts';
import { scenarioNames, scenarioOf } from './scenario.ts';

const vault = { subscriptionId: 's', resourceGroup: 'ContosoRG', vaultName: 'ContosoVMVault' };
const fault = { code: 'RemoteFailure', message: 'No agent.', recommendedAction: 'Install it.' } as const;
const outcomes: Outcome[] = [{ state: 'Succeeded' }, { state: 'Failed', fault }, { state: 'Cancelled' }];

function enableJob(): Job {
  return newJob({
    jobId: jobIdAt(1_000),
    scenario: 'EnableDr',
    target: { id: 'machine', name: 'web01' },
    resource: [['replicationFabrics', 'f']],
    affected: { primaryVmName: 'web01' },
    activityId: 'a',
    startedAtMs: 1_000,
  });
}

type Step =
  | { do: 'begin'; task: string }
  | { do: 'end'; task: string; outcome: Outcome }
  | { do: 'finish'; outcome: Outcome }
  | { do: 'cancel' };

const taskNames = scenarioOf('EnableDr').tasks.map(({ name }) => name);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('begin' as const), task: fc.constantFrom(...taskNames) }),
  fc.record({
    do: fc.constant('end' as const),
    task: fc.constantFrom(...taskNames),
    outcome: fc.constantFrom(...outcomes),
  }),
  fc.record({ do: fc.constant('finish' as const), outcome: fc.constantFrom(...outcomes) }),
  fc.record({ do: fc.constant('cancel' as const) }),
);

function apply(job: Job, step: Step, atMs: number): Job {
  if (step.do === 'begin') return beginTask(job, step.task, atMs);
  if (step.do === 'end') return endTask(job, step.task, { outcome: step.outcome, atMs });
  return step.do === 'finish' ? endJob(job, step.outcome, atMs) : requestCancel(job, atMs);
}

describe('a job', () => {
  it('shows every task as not started at its first moment', () => {
    const answer = jobAnswer(vault, enableJob());
    expect(answer.properties.tasks.map(({ friendlyName, state }) => [friendlyName, state])).toEqual([
      ['Prerequisites check for enabling protection', 'NotStarted'],
      ['Installing Mobility Service and preparing target', 'NotStarted'],
      ['Enable replication', 'NotStarted'],
      ['Starting initial replication', 'NotStarted'],
      ['Updating the provider states', 'NotStarted'],
    ]);
    expect(answer.properties.state).toBe('InProgress');
    expect(answer.properties.allowedActions).toEqual(['Cancel']);
    expect(answer.properties.tasks[0]?.startTime).toBe('0001-01-01T00:00:00');
  });

  it('changes nothing when a step is applied twice, whatever came before', () => {
    fc.assert(
      fc.property(fc.array(step), step, (before, last) => {
        const job = before.reduce((job, step, at) => apply(job, step, at), enableJob());
        const once = apply(job, last, 5_000);
        expect(apply(once, last, 9_000)).toBe(once);
      }),
    );
  });

  it('never leaves an end once it is reached, nor has a running task after it', () => {
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        let job = enableJob();
        const broken: string[] = [];
        for (const [at, step] of steps.entries()) {
          const next = apply(job, step, at);
          if (isOver(job.state) && next !== job) broken.push('left its end');
          if (isOver(next.state) && next.tasks.some(({ state }) => state === 'InProgress'))
            broken.push('runs on');
          job = next;
        }
        expect(broken).toEqual([]);
      }),
    );
  });

  it('tells the caller of a failed operation the innermost error', () => {
    const job = endJob(
      endTask(enableJob(), taskNames[1]!, { outcome: outcomes[1]!, atMs: 2_000 }),
      outcomes[1]!,
      3_000,
    );
    expect(operationStatusAnswer(job)).toMatchObject({
      status: 'Failed',
      error: { code: 'RemoteFailure', message: 'No agent. Install it.' },
    });
    expect(jobAnswer(vault, job).properties.errors).toHaveLength(1);
    expect(jobAnswer(vault, job).properties.errors[0]).toMatchObject({
      taskId: 'CreateProtectionTargetTask',
      serviceErrorDetails: { code: 'RemoteFailure', recommendedAction: 'Install it.' },
    });
  });

  it('spells a cancelled operation the way ARM does', () => {
    const job = endJob(requestCancel(enableJob(), 2_000), { state: 'Cancelled' }, 3_000);
    expect(operationStatusAnswer(job)).toMatchObject({ status: 'Canceled' });
    expect(allowedActions(job)).toEqual([]);
  });

  it('is listed without tasks and details', () => {
    expect(jobListAnswer(vault, enableJob()).properties).toMatchObject({
      tasks: [],
      customDetails: null,
      activityId: null,
      scenarioName: 'EnableDr',
    });
  });

  it('names each task of a scenario once', () => {
    for (const name of scenarioNames) {
      const tasks = scenarioOf(name).tasks.map((task) => task.name);
      expect(new Set(tasks).size).toBe(tasks.length);
    }
  });
});

describe('a job id', () => {
  it('sorts newer jobs before older ones', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31), fc.integer({ min: 1, max: 2 ** 31 }), (atMs, laterByMs) => {
        const older = findJobOrder(jobIdAt(atMs))!;
        const newer = findJobOrder(jobIdAt(atMs + laterByMs))!;
        expect(newer < older).toBe(true);
      }),
    );
  });

  it('is the same for the same moment and seed, and another for another seed', () => {
    expect(jobIdAt(1_700_000_000_000, 'x')).toBe(jobIdAt(1_700_000_000_000, 'x'));
    expect(jobIdAt(1_700_000_000_000, 'x')).not.toBe(jobIdAt(1_700_000_000_000, 'y'));
  });

  it('is found in any casing, and nothing else is', () => {
    const id = jobIdAt(5);
    expect(findJobOrder(id.toUpperCase())).toBe(findJobOrder(id));
    expect(findJobOrder('not-a-guid')).toBeUndefined();
  });
});

describe('an accepted operation', () => {
  it('is answered with the real service’s four headers and no body', () => {
    const jobId = jobIdAt(7);
    const answer = acceptedResponse({
      origin: 'https://127.0.0.1:7443',
      apiVersion: '2023-06-01',
      vault,
      resource: [['replicationPolicies', 'gold & silver']],
      jobId,
      ageMs: 0,
    });
    const base =
      '/Subscriptions/s/resourceGroups/ContosoRG/providers/Microsoft.RecoveryServices/vaults/ContosoVMVault';
    expect(answer).toEqual({
      status: 202,
      headers: {
        'azure-asyncoperation': `https://127.0.0.1:7443${base}/replicationOperationStatus/${jobId}?api-version=2023-06-01`,
        location: `https://127.0.0.1:7443${base}/replicationPolicies/gold%20%26%20silver/operationresults/${jobId}?api-version=2023-06-01`,
        'retry-after': '1',
        'x-ms-request-id': `${base}/replicationJobs/${jobId}`,
      },
    });
  });
});
