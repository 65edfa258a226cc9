// The task hub's state: one table, one partition an instance, so that a step of an orchestration is one transaction.
//   instance                        its state; the ETag of this row fences off a second host
//   page|<executionId>|<number>     the events of one step
//   inbox|<number>                  a message that arrived from outside and is in no page yet
// The names and the format are this host's own: a real Durable extension on the same account has its own tables.
import { TableClient, type TableEntityResult, type TransactionAction } from '@azure/data-tables';
import { BlobServiceClient, type ContainerClient } from '@azure/storage-blob';
import { randomUUID } from 'node:crypto';

import type { HistoryEvent } from './history.ts';
import type { InstanceState, Message, RuntimeStatus } from './instance.ts';
import { isFinal } from './instance.ts';
import { isConflict, isMissing, retryStorage, statusOf, type StoragePatience } from './storage-errors.ts';
import { loadText, storeText, textOf, type LongTexts, type Properties } from './stored-text.ts';

/** An instance's state and the version of it that was read. */
export type StoredInstance = {
  state: InstanceState;
  etag: string;
  pageCount: number;
  carried: HistoryEvent[];
};

/** An instance with what it needs to go on. */
export type LoadedInstance = StoredInstance & {
  history: HistoryEvent[];
  canceledTimerIds: number[];
  inbox: Message[];
};

/** One step of an instance, written whole or not at all. */
export type Step = {
  state: InstanceState;
  /** Fields of the state that this step changed, beside status and updatedAt. */
  changed: ('input' | 'output' | 'customStatus')[];
  /** Events of the step; none when the execution ends by continueAsNew. */
  page: { number: number; events: HistoryEvent[]; canceledTimerIds: number[] } | undefined;
  pageCount: number;
  /** External events that a new execution takes over, unread. */
  carried: HistoryEvent[];
  consumedInboxKeys: string[];
};

/** Another host has written to the instance; this one must leave it alone. */
export class FencedError extends Error {}

const instanceKey = 'instance';
type Row = TableEntityResult<Record<string, unknown>>;

/** What is kept of all instances of a task hub. */
export class TaskHub {
  readonly #table: TableClient;
  readonly #blobs: ContainerClient;
  readonly #longTexts: LongTexts;
  readonly #patience: StoragePatience;
  #lastInboxNumber = 0;

  constructor(connectionString: string, hubName: string, patience: StoragePatience) {
    const options = { allowInsecureConnection: true, retryOptions: { maxRetries: 0 } };
    this.#table = TableClient.fromConnectionString(connectionString, `${hubName}LocalInstances`, options);
    this.#blobs = BlobServiceClient.fromConnectionString(connectionString, {
      retryOptions: { maxTries: 1 },
    }).getContainerClient(`${hubName.toLowerCase()}-local-longtexts`);
    this.#patience = patience;
    this.#longTexts = {
      write: async (name, text) => {
        const content = Buffer.from(text);
        await this.#retry(() => this.#blobs.getBlockBlobClient(name).upload(content, content.length));
      },
      read: async (name) =>
        (await this.#retry(() => this.#blobs.getBlockBlobClient(name).downloadToBuffer())).toString(),
    };
  }

  /** Makes the table and the container. */
  async ensure(): Promise<void> {
    await this.#retry(() => this.#table.createTable());
    await this.#retry(() => this.#blobs.createIfNotExists());
  }

  /** Finds an instance. */
  async find(instanceId: string): Promise<StoredInstance | undefined> {
    const row = await this.#findRow(instanceId);
    return row === undefined ? undefined : this.#toStored(row);
  }

  /** Lists instances, a page at a time, in no particular order. */
  async list(options: {
    onlyOpen?: boolean;
    pageSize?: number;
    continuationToken?: string | undefined;
  }): Promise<{
    instances: StoredInstance[];
    continuationToken: string | undefined;
  }> {
    const filter = `RowKey eq '${instanceKey}'${options.onlyOpen === true ? ' and open eq true' : ''}`;
    const page = await this.#retry(async () => {
      const pages = this.#table.listEntities({ queryOptions: { filter } }).byPage({
        maxPageSize: options.pageSize ?? 1000,
        ...(options.continuationToken === undefined ? {} : { continuationToken: options.continuationToken }),
      });
      return (await pages.next()).value;
    });
    const instances: StoredInstance[] = [];
    for (const row of page ?? []) instances.push(await this.#toStored(row));
    return { instances, continuationToken: page?.continuationToken };
  }

  /** Reads an instance's history and inbox, and removes what earlier executions have left. */
  async load(stored: StoredInstance): Promise<LoadedInstance> {
    const { instanceId, executionId } = stored.state;
    const loaded: LoadedInstance = { ...stored, history: [], canceledTimerIds: [], inbox: [] };
    const stale: string[] = [];
    for (const row of await this.#partition(instanceId)) {
      const key = row.rowKey ?? '';
      const [kind, execution] = key.split('|');
      if (kind === 'inbox') {
        const text = (await loadText('message', row, this.#longTexts)) ?? 'null';
        loaded.inbox.push({ ...(JSON.parse(text) as Message), inboxKey: key });
      } else if (kind === 'page' && execution === executionId) {
        const text = (await loadText('events', row, this.#longTexts)) ?? '[]';
        loaded.history.push(...(JSON.parse(text) as HistoryEvent[]));
        loaded.canceledTimerIds.push(...(JSON.parse(textOf(row['canceledTimerIds'])) as number[]));
      } else if (kind === 'page') stale.push(key);
    }
    await this.#removeRows(instanceId, stale);
    return loaded;
  }

  /**
   * Writes a new instance, over an ended one of the same id when `replaces` names its version.
   * @returns its version, or undefined when there is an instance of that id (or another version of it) already
   */
  async create(state: InstanceState, replaces?: string): Promise<string | undefined> {
    const commitId = randomUUID();
    const entity = {
      ...(await this.#instanceRow(state, commitId)),
      ...(await this.#texts(state, ['input', 'output', 'customStatus'])),
      ...(await storeText('carried', null, '', this.#longTexts)),
      pageCount: 0,
    };
    try {
      const done = await this.#retry(() =>
        replaces === undefined
          ? this.#table.createEntity(entity)
          : this.#table.updateEntity(entity, 'Replace', { etag: replaces }),
      );
      return done.etag ?? '';
    } catch (error) {
      if (!isConflict(error)) throw error;
      const row = await this.#findRow(state.instanceId);
      return row?.['commitId'] === commitId ? row.etag : undefined;
    }
  }

  /** Writes one step. @returns the new version @throws FencedError when the instance is not as it was left */
  async commit(etag: string, step: Step): Promise<string> {
    const { state } = step;
    const commitId = randomUUID();
    const partitionKey = partitionKeyOf(state.instanceId);
    const row = {
      ...(await this.#instanceRow(state, commitId)),
      ...(await this.#texts(state, step.changed)),
      ...(await storeText(
        'carried',
        carriedText(step),
        `${partitionKey}/${commitId}/carried`,
        this.#longTexts,
      )),
      pageCount: step.pageCount,
    };
    const actions: TransactionAction[] = [['update', row, 'Merge', { etag }]];
    if (step.page !== undefined) actions.push(['create', await this.#pageRow(state, step.page, commitId)]);
    for (const rowKey of step.consumedInboxKeys) actions.push(['delete', { partitionKey, rowKey }]);
    try {
      const response = await this.#retry(() => this.#table.submitTransaction(actions));
      return response.getResponseForEntity(instanceKey)?.etag ?? '';
    } catch (error) {
      if (!isConflict(error) && !isMissing(error)) throw error;
      // The answer to an earlier try may have been lost though it was carried out.
      const found = await this.#findRow(state.instanceId);
      if (found?.['commitId'] === commitId) return found.etag;
      throw new FencedError(`instance ${state.instanceId} was changed by another host`, { cause: error });
    }
  }

  /** Keeps a message until a step takes it into the history. */
  async keep(instanceId: string, message: Message): Promise<Message> {
    this.#lastInboxNumber = Math.max(this.#lastInboxNumber + 1, Date.now() * 1000);
    const inboxKey = `inbox|${String(this.#lastInboxNumber).padStart(17, '0')}`;
    const partitionKey = partitionKeyOf(instanceId);
    const blobName = `${partitionKey}/${inboxKey}`;
    const text = await storeText('message', JSON.stringify(message), blobName, this.#longTexts);
    await this.#retry(() => this.#table.upsertEntity({ partitionKey, rowKey: inboxKey, ...text }, 'Replace'));
    return { ...message, inboxKey };
  }

  /** Forgets a message that came too late. */
  async forget(instanceId: string, inboxKey: string): Promise<void> {
    await this.#removeRows(instanceId, [inboxKey]);
  }

  /** Removes the pages of an execution that has been left. What a crash leaves, load removes. */
  async removePages(instanceId: string, executionId: string, pageCount: number): Promise<void> {
    const keys = Array.from({ length: pageCount }, (_unused, index) => pageKey(executionId, index));
    await this.#removeRows(instanceId, keys);
  }

  /** Removes all that is known of an instance, its state last. */
  async purge(instanceId: string): Promise<void> {
    const keys = (await this.#partition(instanceId)).map((row) => row.rowKey ?? '');
    await this.#removeRows(instanceId, [...keys.filter((key) => key !== instanceKey), instanceKey]);
    const prefix = `${partitionKeyOf(instanceId)}/`;
    for await (const blob of this.#blobs.listBlobsFlat({ prefix })) await this.#blobs.deleteBlob(blob.name);
  }

  async #findRow(instanceId: string): Promise<Row | undefined> {
    try {
      return await this.#retry(() => this.#table.getEntity(partitionKeyOf(instanceId), instanceKey));
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  #partition(instanceId: string): Promise<Row[]> {
    const filter = `PartitionKey eq '${partitionKeyOf(instanceId)}'`;
    return this.#retry(async () => {
      const rows: Row[] = [];
      for await (const row of this.#table.listEntities({ queryOptions: { filter } })) rows.push(row);
      return rows;
    });
  }

  async #removeRows(instanceId: string, rowKeys: string[]): Promise<void> {
    const partitionKey = partitionKeyOf(instanceId);
    for (let at = 0; at < rowKeys.length; at += 100) {
      const actions = rowKeys
        .slice(at, at + 100)
        .map((rowKey): TransactionAction => ['delete', { partitionKey, rowKey }]);
      try {
        await this.#retry(() => this.#table.submitTransaction(actions));
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
    }
  }

  async #instanceRow(
    state: InstanceState,
    commitId: string,
  ): Promise<{ partitionKey: string; rowKey: string } & Properties> {
    return {
      partitionKey: partitionKeyOf(state.instanceId),
      rowKey: instanceKey,
      instanceId: state.instanceId,
      name: state.name,
      version: state.version ?? '',
      executionId: state.executionId,
      runtimeStatus: state.status,
      open: !isFinal(state.status),
      createdAt: state.createdAt,
      updatedAt: state.updatedAt,
      parent: state.parent === undefined ? '' : JSON.stringify(state.parent),
      commitId,
    };
  }

  async #texts(state: InstanceState, names: Step['changed']): Promise<Properties> {
    const properties: Properties = {};
    for (const name of names) {
      const blobName = `${partitionKeyOf(state.instanceId)}/${randomUUID()}/${name}`;
      Object.assign(properties, await storeText(name, state[name], blobName, this.#longTexts));
    }
    return properties;
  }

  async #pageRow(
    state: InstanceState,
    page: NonNullable<Step['page']>,
    commitId: string,
  ): Promise<{ partitionKey: string; rowKey: string } & Properties> {
    const partitionKey = partitionKeyOf(state.instanceId);
    const text = JSON.stringify(page.events);
    return {
      partitionKey,
      rowKey: pageKey(state.executionId, page.number),
      ...(await storeText('events', text, `${partitionKey}/${commitId}/events`, this.#longTexts)),
      canceledTimerIds: JSON.stringify(page.canceledTimerIds),
    };
  }

  async #toStored(row: Row): Promise<StoredInstance> {
    const text = (name: string): Promise<string | null> => loadText(name, row, this.#longTexts);
    const parent = textOf(row['parent']);
    const state: InstanceState = {
      instanceId: textOf(row['instanceId']),
      name: textOf(row['name']),
      version: textOf(row['version']) || undefined,
      executionId: textOf(row['executionId']),
      status: row['runtimeStatus'] as RuntimeStatus,
      createdAt: textOf(row['createdAt']),
      updatedAt: textOf(row['updatedAt']),
      input: await text('input'),
      output: await text('output'),
      customStatus: await text('customStatus'),
      parent: parent === '' ? undefined : (JSON.parse(parent) as NonNullable<InstanceState['parent']>),
    };
    return {
      state,
      etag: row.etag,
      pageCount: Number(row['pageCount'] ?? 0),
      carried: JSON.parse((await text('carried')) ?? '[]') as HistoryEvent[],
    };
  }

  #retry<T>(operation: () => Promise<T>): Promise<T> {
    return retryStorage(operation, this.#patience);
  }
}

function carriedText(step: Step): string | null {
  return step.carried.length === 0 ? null : JSON.stringify(step.carried);
}

function pageKey(executionId: string, number: number): string {
  return `page|${executionId}|${String(number).padStart(8, '0')}`;
}

/** An instance id as a partition key: everything but letters, digits, '.', '_' and '-' by its UTF-16 code. */
function partitionKeyOf(instanceId: string): string {
  return instanceId.replaceAll(
    /[^A-Za-z0-9._-]/g,
    (character) => `~${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
