import { RestError, TableClient, type TransactionAction, odata } from '@azure/data-tables';
import { DomainError } from '../fault.ts';
import { encodePart, encodeValue } from './entity.ts';
import { type RowKey, type RowRange } from './row-key.ts';
import { isNotFound, storageFault } from './storage-fault.ts';

export type Entity = Record<string, unknown> & { etag: string; rowKey: string };

/** One write. In a transaction a `replace` or `merge` of a changed row, an `insert` of one that is there and a `delete` of one that is not fail the whole. */
export type RowWrite =
  | { do: 'insert'; key: RowKey; value: unknown }
  | { do: 'replace'; key: RowKey; value: unknown; etag: string }
  | { do: 'upsert'; key: RowKey; value: unknown }
  /** Of a row that holds several values, replaces these; a part that is undefined is taken out. */
  | { do: 'merge'; key: RowKey; parts: Record<string, unknown>; etag: string }
  | { do: 'delete'; key: RowKey };

/** Table Storage takes at most 100 writes in one transaction. */
export const mostWritesAtOnce = 100;
/** What a query answers at most at once. */
const rowsAPage = 1_000;

/**
 * One table. Made at first use. All faults come as DomainError: Conflict (exists already), PreconditionFailed
 * (changed meanwhile), Unavailable (Storage is not to be reached).
 */
export class Table {
  readonly #client: TableClient;
  #made: Promise<void> | undefined;

  constructor(connectionString: string, name: string) {
    this.#client = TableClient.fromConnectionString(connectionString, name, {
      allowInsecureConnection: isLoopback(connectionString),
      retryOptions: { maxRetries: 2, retryDelayInMs: 200, maxRetryDelayInMs: 1_000 },
    });
  }

  async find(key: RowKey): Promise<Entity | undefined> {
    try {
      return await this.#run(key.row, () => this.#client.getEntity<Entity>(key.partition, key.row));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Writes one row; answers its new etag. */
  async write(write: Exclude<RowWrite, { do: 'delete' }>): Promise<string> {
    const entity = entityOf(write);
    const answer = await this.#run(write.key.row, () => {
      if (write.do === 'insert') return this.#client.createEntity(entity);
      if (write.do === 'upsert') return this.#client.upsertEntity(entity, 'Replace');
      const mode = write.do === 'merge' ? 'Merge' : 'Replace';
      return this.#client.updateEntity(entity, mode, { etag: write.etag });
    });
    return answer.etag ?? '';
  }

  /** Deletes one row; one that is not there is as good as deleted. */
  async delete(key: RowKey, etag?: string): Promise<void> {
    try {
      await this.#run(key.row, () =>
        this.#client.deleteEntity(key.partition, key.row, etag === undefined ? {} : { etag }),
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** All or nothing: at most 100 writes, all in one partition. @returns the rows' new etags, in the same order */
  async transact(writes: readonly RowWrite[]): Promise<(string | undefined)[]> {
    const [first] = writes;
    if (first === undefined) return [];
    const actions = writes.map((write) => transactionAction(write));
    const { subResponses } = await this.#run(first.key.row, () => this.#client.submitTransaction(actions));
    return subResponses.map(({ etag }) => etag);
  }

  /** One page of a range, in key order; `continuation` fetches the next. @throws InvalidRequest for one not ours. */
  async page(
    range: RowRange,
    options?: { most?: number | undefined; continuation?: string | undefined },
  ): Promise<{ entities: Entity[]; continuation?: string }> {
    const most = Math.min(options?.most ?? rowsAPage, rowsAPage);
    const from = options?.continuation === undefined ? range.from : rowAfter(range, options.continuation);
    const filter = odata`PartitionKey eq ${range.partition} and RowKey ge ${from} and RowKey lt ${range.to}`;
    const pages = this.#client
      .listEntities<Entity>({ queryOptions: { filter } })
      .byPage({ maxPageSize: most });
    const entities: Entity[] = [];
    // The service may answer less than asked for, even nothing, and still have more.
    for (;;) {
      const { value, done } = await this.#run(range.from, () => pages.next());
      if (done) return { entities };
      entities.push(...value);
      if (value.continuationToken === undefined) return { entities };
      const last = entities.at(-1);
      if (last !== undefined && entities.length >= most) {
        return { entities, continuation: Buffer.from(last.rowKey).toString('base64url') };
      }
    }
  }

  async #run<R>(subject: string, request: () => Promise<R>): Promise<R> {
    try {
      await this.#ensure();
      return await request();
    } catch (error) {
      throw storageFault(error, `'${subject}'`);
    }
  }

  async #ensure(): Promise<void> {
    this.#made ??= this.#client.createTable();
    try {
      await this.#made;
    } catch (error) {
      this.#made = undefined;
      if (!(error instanceof RestError && error.statusCode === 409)) throw error;
    }
  }
}

/** Where the page after a continuation begins: a continuation is the last row's key, so any one is harmless. */
function rowAfter(range: RowRange, continuation: string): string {
  const last = Buffer.from(continuation.slice(0, 2_000), 'base64url').toString('utf8');
  if (last >= range.from && last < range.to) return `${last} `;
  throw new DomainError({
    code: 'InvalidRequest',
    message: 'The $skipToken is not one that this list gave.',
    target: '$skipToken',
    recommendedAction: 'Follow nextLink as it stands, or begin the list anew.',
  });
}

/** Plain HTTP never leaves the machine. */
function isLoopback(connectionString: string): boolean {
  return /TableEndpoint=http:\/\/(?:127\.0\.0\.1|localhost)[:/]/iu.test(connectionString);
}

function entityOf(
  write: Exclude<RowWrite, { do: 'delete' }>,
): { partitionKey: string; rowKey: string } & Record<string, string> {
  const { partition: partitionKey, row: rowKey } = write.key;
  if (write.do !== 'merge') return { ...encodeValue(write.value), partitionKey, rowKey };
  const parts = Object.entries(write.parts).map(([name, value]) => encodePart(name, value));
  return { ...Object.assign({}, ...parts), partitionKey, rowKey };
}

function transactionAction(write: RowWrite): TransactionAction {
  if (write.do === 'insert') return ['create', entityOf(write)];
  if (write.do === 'upsert') return ['upsert', entityOf(write), 'Replace'];
  if (write.do === 'replace') return ['update', entityOf(write), 'Replace', { etag: write.etag }];
  if (write.do === 'merge') return ['update', entityOf(write), 'Merge', { etag: write.etag }];
  return ['delete', { partitionKey: write.key.partition, rowKey: write.key.row }];
}
