/**
 * Runs a task for each item, at most `limit` at a time, and yields the results in the items' order.
 * Where one fails the error is thrown at its turn; those under way are waited for, none is begun.
 */
export async function* inOrder<T, R>(
  items: Iterable<T>,
  limit: number,
  run: (item: T) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const running: Promise<R>[] = [];
  const source = items[Symbol.iterator]();
  try {
    for (;;) {
      while (running.length < limit) {
        const next = source.next();
        if (next.done === true) break;
        const task = run(next.value);
        task.catch(() => undefined); // told at its turn below
        running.push(task);
      }
      const first = running.shift();
      if (first === undefined) return;
      yield await first;
    }
  } finally {
    await Promise.allSettled(running);
  }
}

/** Runs a task for each item, at most `limit` at a time. Throws the first error, after those under way have ended. */
export async function forEachOf<T>(
  items: Iterable<T>,
  limit: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const source = items[Symbol.iterator]();
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    for (let next = source.next(); next.done !== true && failures.length === 0; next = source.next()) {
      await run(next.value).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: limit }, lane));
  if (failures.length > 0) throw failures[0];
}
