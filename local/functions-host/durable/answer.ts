import { z } from 'zod';

import type { RpcTypedData } from '../core-api.ts';
import type { Action } from './history.ts';

const Answer = z.object({
  isDone: z.boolean(),
  actions: z.array(z.array(z.looseObject({ actionType: z.number() }))),
  output: z.unknown().optional(),
  error: z.string().optional(),
  customStatus: z.unknown().optional(),
});

/** What an orchestrator says after a replay: whether it is done, and all its actions since the start. */
export type Answer = {
  isDone: boolean;
  actions: Action[];
  output?: unknown;
  error?: string;
  customStatus?: unknown;
};

const label = '\n\n$OutOfProcData$:';

/** Reads the answer of an orchestrator that returned. */
export function parseAnswer(returnValue: RpcTypedData | null | undefined): Answer {
  return toAnswer(JSON.parse(returnValue?.json ?? returnValue?.string ?? 'null'));
}

/**
 * Reads the answer of an orchestrator that failed: it comes at the end of the message of what it threw.
 * @throws what was thrown when there is no answer in it
 */
export function parseFailure(thrown: unknown): Answer {
  const message = thrown instanceof Error ? thrown.message : '';
  const at = message.indexOf(label);
  if (at < 0) throw thrown;
  const answer = toAnswer(JSON.parse(message.slice(at + label.length)));
  return { ...answer, error: answer.error ?? 'the orchestrator threw an error without a message' };
}

function toAnswer(value: unknown): Answer {
  const parsed = Answer.parse(value);
  // Actions come from the library as it made them; the engine refuses the types it does not know.
  return { ...parsed, actions: parsed.actions.flat() as Action[] } as Answer;
}
