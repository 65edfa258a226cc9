import type { HistoryEvent } from './history.ts';

/** States of an instance; `open` ones go on, the others are final. */
export type RuntimeStatus =
  /** Started, not yet run. */
  | 'Pending'
  /** Running, or waiting for its tasks. */
  | 'Running'
  /** Keeps what arrives, does not run until it is resumed. */
  | 'Suspended'
  | 'Completed'
  | 'Failed'
  | 'Terminated';

/** The task of another instance that a sub-orchestration answers. */
export type ParentTask = { instanceId: string; executionId: string; taskId: number };

/** The state of an instance without its history. Texts are JSON. */
export type InstanceState = {
  instanceId: string;
  name: string;
  version: string | undefined;
  /** Changes with each start and each continueAsNew; what was meant for another execution is dropped. */
  executionId: string;
  status: RuntimeStatus;
  createdAt: string;
  updatedAt: string;
  input: string | null;
  output: string | null;
  customStatus: string | null;
  parent: ParentTask | undefined;
};

/** Something that happened to an instance, to be taken into its history. */
export type Message = {
  event: HistoryEvent;
  /** The execution it is for; undefined for any. */
  executionId?: string;
  /** Key of the row that keeps it until it is in the history; without one it can be had again. */
  inboxKey?: string;
  /** Taken over, unread, from the execution before; kept in the instance's own row. */
  isCarried?: boolean;
};

const finalStatuses: readonly RuntimeStatus[] = ['Completed', 'Failed', 'Terminated'];

/** Says whether an instance in this state has ended. */
export function isFinal(status: RuntimeStatus): boolean {
  return finalStatuses.includes(status);
}
