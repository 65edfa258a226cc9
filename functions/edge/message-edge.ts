import { type InvocationContext } from '@azure/functions';
import { type z } from 'zod';

/**
 * Wraps what handles a message. Returning completes it; throwing gives it back, and after ten deliveries the broker
 * moves it to the dead-letter queue. A message of the wrong shape stays wrong, so it takes that way too.
 */
export function messageEdge<T>(
  schema: z.ZodType<T>,
  run: (message: T, context: InvocationContext) => Promise<void>,
): (message: unknown, context: InvocationContext) => Promise<void> {
  return async (message, context) => {
    const parsed = schema.safeParse(typeof message === 'string' ? parseJson(message) : message);
    if (!parsed.success) {
      context.error('A message has the wrong shape.', { field: parsed.error.issues[0]?.path.join('.') });
      throw parsed.error;
    }
    await run(parsed.data, context);
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
