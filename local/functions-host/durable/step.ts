// One step of an orchestration: what has arrived goes into the history, the orchestrator replays it and answers,
// and what follows is planned. Nothing has an effect before the step is committed.
import { randomUUID } from 'node:crypto';

import type { Answer } from './answer.ts';
import { ActionType, EventType, historyEvent, type Action, type HistoryEvent } from './history.ts';
import type { InstanceState, Message, RuntimeStatus } from './instance.ts';
import type { LiveInstance } from './live-instance.ts';
import { decide, inputText, type Decision } from './replay.ts';
import type { Step } from './task-hub.ts';

/** A step and what it sets going once it is committed. */
export type PlannedStep = Step & {
  scheduled: HistoryEvent[];
  /** External events that the next execution gets first. */
  unread: HistoryEvent[];
};

/** Runs the orchestrator function over an instance's history, `newEvents` last. It rejects only with what broke. */
export type RunOrchestrator = (live: LiveInstance, newEvents: HistoryEvent[]) => Promise<Answer>;

/** https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-custom-orchestration-status */
const maxCustomStatusLength = 8 * 1024;

type Outcome = Pick<PlannedStep, 'state' | 'scheduled'> & {
  decision: Decision | undefined;
  ending: HistoryEvent[];
  continuation: { input: string | null } | undefined;
};

/** Plans the step that takes these messages into the history. */
export async function planStep(
  live: LiveInstance,
  taken: { messages: Message[]; staleInboxKeys: string[] },
  options: { run: RunOrchestrator; check: (scheduled: HistoryEvent[]) => void },
): Promise<PlannedStep> {
  const newEvents = beginStep(live, taken.messages);
  const state: InstanceState = { ...live.state, status: statusAfter(live, newEvents), updatedAt: now() };
  const outcome = await decideOutcome(live, state, newEvents, options);
  const consumedInboxKeys = [
    ...taken.staleInboxKeys,
    ...taken.messages.flatMap(({ inboxKey }) => (inboxKey === undefined ? [] : [inboxKey])),
  ];
  const carriedLeft = live.mailbox.filter(({ isCarried }) => isCarried === true).map(({ event }) => event);
  if (outcome.continuation !== undefined) {
    const unread = (outcome.decision?.unreadEvents ?? []).map(asUnread);
    return {
      ...continueAsNew(outcome.state, outcome.continuation.input),
      unread,
      carried: [...unread, ...carriedLeft],
      consumedInboxKeys,
    };
  }
  const closing = historyEvent('OrchestratorCompleted');
  const events = [...newEvents, ...outcome.scheduled, closing, ...outcome.ending].map(asPlayed);
  const newlyCanceled = (outcome.decision?.canceledTimerIds ?? []).filter(
    (id) => !live.canceledTimerIds.has(id),
  );
  return {
    state: outcome.state,
    changed: changesBetween(live.state, outcome.state),
    page: { number: live.pageCount, events, canceledTimerIds: newlyCanceled },
    pageCount: live.pageCount + 1,
    carried: carriedLeft,
    consumedInboxKeys,
    scheduled: outcome.scheduled,
    unread: [],
  };
}

function now(): string {
  return new Date().toISOString();
}

function asPlayed(event: HistoryEvent): HistoryEvent {
  return { ...event, IsPlayed: true };
}

function asUnread(event: HistoryEvent): HistoryEvent {
  return { ...event, IsPlayed: false };
}

function beginStep(live: LiveInstance, messages: Message[]): HistoryEvent[] {
  const { state } = live;
  const events = [historyEvent('OrchestratorStarted')];
  if (state.status === 'Pending') {
    events.push(
      historyEvent('ExecutionStarted', {
        Name: state.name,
        Input: state.input,
        ...(state.version === undefined ? {} : { Version: state.version }),
      }),
    );
  }
  return [...events, ...messages.map(({ event }) => event)];
}

function statusAfter(live: LiveInstance, newEvents: HistoryEvent[]): RuntimeStatus {
  let status: RuntimeStatus = live.state.status === 'Suspended' ? 'Suspended' : 'Running';
  for (const event of newEvents) {
    if (event.EventType === EventType.ExecutionSuspended) status = 'Suspended';
    if (event.EventType === EventType.ExecutionResumed) status = 'Running';
  }
  return status;
}

async function decideOutcome(
  live: LiveInstance,
  state: InstanceState,
  newEvents: HistoryEvent[],
  options: { run: RunOrchestrator; check: (scheduled: HistoryEvent[]) => void },
): Promise<Outcome> {
  const terminated = newEvents.find((event) => event.EventType === EventType.ExecutionTerminated);
  if (terminated !== undefined) {
    return endAs(state, 'Terminated', JSON.stringify(terminated.Reason ?? ''), undefined);
  }
  try {
    const answer = await options.run(live, newEvents);
    const withStatus = { ...state, customStatus: customStatusText(answer, state) };
    const decision = decide(answer.actions, [...live.history, ...newEvents]);
    const scheduled = decision.scheduled.map((event) => withInstanceId(event, state.executionId));
    options.check(scheduled);
    const isFinished = answer.isDone || answer.error !== undefined;
    if (isFinished && decision.openTaskIds.length === 0) return finish(withStatus, answer, decision);
    return { state: withStatus, scheduled, decision, ending: [], continuation: undefined };
  } catch (error) {
    // The orchestration cannot go on, now or later: that is a result, not a fault of the host.
    return endAs(state, 'Failed', failureText(state, (error as Error).message), undefined);
  }
}

function finish(state: InstanceState, answer: Answer, decision: Decision): Outcome {
  if (answer.error !== undefined) return endAs(state, 'Failed', failureText(state, answer.error), decision);
  const last: Action | undefined = answer.actions.at(-1);
  if (last?.actionType === ActionType.ContinueAsNew) {
    // A suspended instance begins its next execution when it is resumed.
    if (state.status === 'Suspended') {
      return { state, scheduled: [], decision, ending: [], continuation: undefined };
    }
    return { state, scheduled: [], decision, ending: [], continuation: { input: inputText(last.input) } };
  }
  return endAs(state, 'Completed', JSON.stringify(answer.output ?? null), decision);
}

function failureText(state: InstanceState, reason: string): string {
  return JSON.stringify(`Orchestrator function '${state.name}' failed: ${reason}`);
}

function endAs(
  state: InstanceState,
  status: RuntimeStatus,
  output: string | null,
  decision: Decision | undefined,
): Outcome {
  const ending = [historyEvent('ExecutionCompleted', { Result: output, OrchestrationStatus: status })];
  return { state: { ...state, status, output }, scheduled: [], decision, ending, continuation: undefined };
}

function continueAsNew(
  state: InstanceState,
  input: string | null,
): Omit<PlannedStep, 'unread' | 'carried' | 'consumedInboxKeys'> {
  const at = now();
  return {
    state: { ...state, executionId: randomUUID(), status: 'Pending', input, createdAt: at, updatedAt: at },
    changed: ['input', 'customStatus'],
    page: undefined,
    pageCount: 0,
    scheduled: [],
  };
}

function withInstanceId(event: HistoryEvent, executionId: string): HistoryEvent {
  if (event.EventType !== EventType.SubOrchestrationInstanceCreated || event.InstanceId !== undefined)
    return event;
  return { ...event, InstanceId: `${executionId}:${event.EventId.toString(16)}` };
}

function customStatusText(answer: Answer, state: InstanceState): string | null {
  if (answer.customStatus === undefined) return state.customStatus;
  const text = JSON.stringify(answer.customStatus);
  if (text.length > maxCustomStatusLength) {
    throw new Error('the custom status must not exceed 16 KB of UTF-16 text');
  }
  return text;
}

function changesBetween(before: InstanceState, after: InstanceState): Step['changed'] {
  const names: Step['changed'] = ['output', 'customStatus'];
  return names.filter((name) => before[name] !== after[name]);
}
