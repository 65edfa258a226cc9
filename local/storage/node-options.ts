/**
 * What Node is to be started with for `main.ts`. Every upload leaves megabytes of dead buffers, and V8 sets four threads on
 * each of many small collections: one thread does them with a fifth to a third less of the machine's time.
 */
export const storageNodeOptions: readonly string[] = ['--single-threaded-gc'];
