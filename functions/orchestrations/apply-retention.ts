/** Retention: a fan-out over the items of a vault that are due, each step by step until nothing is left to do. */
import * as df from 'durable-functions';
import { z } from 'zod';
import { RetainedItem, retainStep } from '../activities/retention.ts';
import { VaultRefSchema } from '../activities/vault-ref.ts';

/** Orchestrations' names. */
export const applyRetention = 'applyRetention';
const retainItem = 'retainItem';

/** Steps of one item; what is left is the next timer's. Keeps the history short. */
const mostSteps = 50;

export const ApplyRetentionInput = z.object({
  vault: VaultRefSchema,
  items: z.array(RetainedItem),
  /** Items at once. */
  parallel: z.number().int().positive(),
});

const RetainItemInput = z.object({ vault: VaultRefSchema, item: RetainedItem });

df.app.orchestration(applyRetention, function* (context) {
  const { vault, items, parallel } = ApplyRetentionInput.parse(context.df.getInput());
  let failed = 0;
  for (let at = 0; at < items.length; at += parallel) {
    const batch = items.slice(at, at + parallel);
    const outcomes: unknown = yield context.df.Task.all(
      batch.map((item) => context.df.callSubOrchestrator(retainItem, { vault, item })),
    );
    failed += z
      .array(Outcome)
      .parse(outcomes)
      .filter(({ isDone }) => !isDone).length;
  }
  return { items: items.length, failed };
});

const Outcome = z.object({ isDone: z.boolean() });

/** One item's failure is its own: the others go on, and the next timer begins anew. */
df.app.orchestration(retainItem, function* (context) {
  const input = RetainItemInput.parse(context.df.getInput());
  try {
    for (let steps = 0; steps < mostSteps; steps += 1) {
      const { isComplete } = yield* retainStep(context, input);
      if (isComplete) break;
    }
    return { isDone: true };
  } catch {
    // What it was stands in the history of this instance.
    return { isDone: false };
  }
});
