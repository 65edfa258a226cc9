/**
 * Activities: what orchestrations have done. An activity is called again when the host dies before its result is
 * kept, so each must be idempotent.
 */
import * as df from 'durable-functions';
import { type OrchestrationContext, type Task } from 'durable-functions';
import { z } from 'zod';
import { DomainError, Fault, isRetryable } from '../../shared/fault.ts';

/** Tries after faults that pass by themselves, and the wait before each further one (it doubles). */
const mostTries = 6;
const firstWaitMs = 2_000;

/**
 * Registers an activity and returns the call of it, for `yield*` in an orchestration.
 *
 * A DomainError comes back as a refusal and is thrown again, as DomainError, on the orchestration's side.
 * Faults that pass by themselves (`isRetryable`) are tried again after 2, 4, 8, 16 and 32 seconds. Anything else
 * that is thrown is a bug and fails the orchestration.
 */
export function activity<I, O>(
  name: string,
  schemas: { input: z.ZodType<I>; output: z.ZodType<O> },
  run: (input: I) => Promise<O>,
): (context: OrchestrationContext, input: I) => Generator<Task, O, unknown> {
  df.app.activity(name, {
    handler: async (input: unknown) => {
      const parsed = schemas.input.parse(input);
      try {
        return { done: (await run(parsed)) ?? null };
      } catch (error) {
        if (error instanceof DomainError) return { refused: error.fault };
        throw error;
      }
    },
  });
  const Outcome = z.union([z.object({ refused: Fault }), z.object({ done: z.unknown() })]);
  return function* call(context, input) {
    for (let tries = 1; ; tries += 1) {
      const outcome = Outcome.parse(yield context.df.callActivity(name, input));
      if ('done' in outcome) return schemas.output.parse(outcome.done ?? undefined);
      if (!isRetryable(outcome.refused) || tries === mostTries) throw new DomainError(outcome.refused);
      const wait = firstWaitMs * 2 ** (tries - 1);
      yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + wait));
    }
  };
}
