import { TableClient } from '@azure/data-tables';
import { z } from 'zod';

import { retryStorage, statusOf, type StoragePatience } from '../durable/storage-errors.ts';

const TimerStatus = z.object({
  /** The schedule for which the rest was written. */
  schedule: z.string(),
  /** When the last run was due; empty before the first. */
  lastAt: z.string(),
  /** When the next run is due. */
  nextAt: z.string(),
  updatedAt: z.string(),
});

/** What is kept of a timer, so that a run that was missed is noticed. */
export type TimerStatus = z.infer<typeof TimerStatus>;

/** Keeps the status of timers in a table of the host's storage account. */
export class TimerStore {
  readonly #table: TableClient;
  readonly #patience: StoragePatience;

  constructor(connectionString: string, hubName: string, patience: StoragePatience) {
    this.#table = TableClient.fromConnectionString(connectionString, `${hubName}LocalTimers`, {
      allowInsecureConnection: true,
      retryOptions: { maxRetries: 0 },
    });
    this.#patience = patience;
  }

  async ensure(): Promise<void> {
    await retryStorage(() => this.#table.createTable(), this.#patience);
  }

  async find(functionName: string): Promise<TimerStatus | undefined> {
    try {
      const row = await retryStorage(
        () => this.#table.getEntity('timer', functionName.toLowerCase()),
        this.#patience,
      );
      return TimerStatus.parse(row);
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  async put(functionName: string, status: TimerStatus): Promise<void> {
    const entity = { partitionKey: 'timer', rowKey: functionName.toLowerCase(), ...status };
    await retryStorage(() => this.#table.upsertEntity(entity, 'Replace'), this.#patience);
  }
}
