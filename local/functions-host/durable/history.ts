// What durable-functions reads as an orchestration's history, and the actions with which it answers.
// https://github.com/Azure/azure-functions-durable-js (history/, actions/)

/** Kinds of history events, with the numbers that the library knows. */
export const EventType = {
  ExecutionStarted: 0,
  ExecutionCompleted: 1,
  ExecutionTerminated: 3,
  TaskScheduled: 4,
  TaskCompleted: 5,
  TaskFailed: 6,
  SubOrchestrationInstanceCreated: 7,
  SubOrchestrationInstanceCompleted: 8,
  SubOrchestrationInstanceFailed: 9,
  TimerCreated: 10,
  TimerFired: 11,
  OrchestratorStarted: 12,
  OrchestratorCompleted: 13,
  EventRaised: 15,
  ExecutionSuspended: 19,
  ExecutionResumed: 20,
} as const;

/** One event; which of the fields are there depends on its type. `EventId` is the task's id, or -1. */
export type HistoryEvent = {
  EventType: number;
  EventId: number;
  IsPlayed: boolean;
  Timestamp: string;
  Name?: string;
  /** JSON text. */
  Input?: string | null;
  /** JSON text. */
  Result?: string | null;
  Version?: string;
  TaskScheduledId?: number;
  Reason?: string;
  Details?: string;
  InstanceId?: string;
  TimerId?: number;
  FireAt?: string;
  OrchestrationStatus?: string;
};

/** Makes an event of this moment. */
export function historyEvent(
  type: keyof typeof EventType,
  fields: Omit<Partial<HistoryEvent>, 'EventType' | 'IsPlayed'> = {},
): HistoryEvent {
  return {
    EventType: EventType[type],
    EventId: -1,
    IsPlayed: false,
    Timestamp: new Date().toISOString(),
    ...fields,
  };
}

/** The id of the task that a completion, a failure or a fired timer answers. */
export function answeredTaskId(event: HistoryEvent): number | undefined {
  return event.TaskScheduledId ?? event.TimerId;
}

const ended = new Set<number>([
  EventType.TaskCompleted,
  EventType.TaskFailed,
  EventType.SubOrchestrationInstanceCompleted,
  EventType.SubOrchestrationInstanceFailed,
  EventType.TimerFired,
]);

/** Says whether the event ends a task. */
export function endsTask(event: HistoryEvent): boolean {
  return ended.has(event.EventType);
}

/** Says whether the event ends a task by its failure. */
export function isFailure(event: HistoryEvent): boolean {
  return (
    event.EventType === EventType.TaskFailed || event.EventType === EventType.SubOrchestrationInstanceFailed
  );
}

const scheduling = new Set<number>([
  EventType.TaskScheduled,
  EventType.SubOrchestrationInstanceCreated,
  EventType.TimerCreated,
]);

/** Says whether the event schedules a task. */
export function schedulesTask(event: HistoryEvent): boolean {
  return scheduling.has(event.EventType);
}

/** How often a failed task is tried again; times are milliseconds. */
export type RetryOptions = {
  firstRetryIntervalInMilliseconds: number;
  maxNumberOfAttempts: number;
  backoffCoefficient?: number;
  maxRetryIntervalInMilliseconds?: number;
  retryTimeoutInMilliseconds?: number;
};

/** Kinds of actions, with the library's numbers. */
export const ActionType = {
  CallActivity: 0,
  CallActivityWithRetry: 1,
  CallSubOrchestrator: 2,
  CallSubOrchestratorWithRetry: 3,
  ContinueAsNew: 4,
  CreateTimer: 5,
  WaitForExternalEvent: 6,
  WhenAny: 11,
  WhenAll: 12,
} as const;

/** One action of an orchestrator; which of the fields are there depends on its type. */
export type Action = {
  actionType: number;
  functionName?: string;
  instanceId?: string;
  input?: unknown;
  retryOptions?: RetryOptions;
  fireAt?: string;
  isCanceled?: boolean;
  externalEventName?: string;
  compoundActions?: Action[];
};
