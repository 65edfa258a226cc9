// What the crash test writes and reads back. Each register is one thing in storage with one writer.
import { randomBytes } from 'node:crypto';

import { TableClient, TableTransaction } from '@azure/data-tables';
import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  BlobServiceClient,
  type ContainerClient,
  generateAccountSASQueryParameters,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';

/** Clients of one run of storage, that try everything once. */
export type Clients = { container: ContainerClient; table: TableClient; queue: QueueClient };

/** Something in storage whose whole value can be read as a string. */
export type Register = {
  name: string;
  /** A next value to write, given the present one. */
  next(present: string): string;
  /** Makes `value` of `present`. */
  write(clients: Clients, value: string, present: string): Promise<void>;
  read(clients: Clients): Promise<string>;
};

export const EMPTY = '';

export function clientsOf(connectionString: string): Clients {
  const service = BlobServiceClient.fromConnectionString(connectionString, { retryOptions: { maxTries: 1 } });
  return {
    container: service.getContainerClient('things'),
    table: TableClient.fromConnectionString(connectionString, 'Things', {
      allowInsecureConnection: true,
      retryOptions: { maxRetries: 0 },
    }),
    queue: new QueueClient(connectionString),
  };
}

/** The queue service's REST interface, as far as the test needs it; there is no SDK of it among our dependencies. */
export class QueueClient {
  readonly #endpoint: string;
  readonly #sas: string;

  constructor(connectionString: string) {
    const parts = new Map(
      connectionString.split(';').map((part) => part.split(/=(.*)/s).slice(0, 2) as [string, string]),
    );
    this.#endpoint = parts.get('QueueEndpoint') ?? '';
    this.#sas = generateAccountSASQueryParameters(
      {
        services: AccountSASServices.parse('q').toString(),
        resourceTypes: AccountSASResourceTypes.parse('sco').toString(),
        permissions: AccountSASPermissions.parse('rwdlacup'),
        expiresOn: new Date(Date.now() + 3_600_000),
      },
      new StorageSharedKeyCredential(parts.get('AccountName') ?? '', parts.get('AccountKey') ?? ''),
    ).toString();
  }

  async send(method: string, path: string, text?: string): Promise<{ headers: Headers; body: string }> {
    const url = `${this.#endpoint}/${path}${path.includes('?') ? '&' : '?'}${this.#sas}`;
    const body =
      text === undefined ? {} : { body: `<QueueMessage><MessageText>${text}</MessageText></QueueMessage>` };
    const response = await fetch(url, { method, headers: { 'x-ms-version': '2024-11-04' }, ...body });
    const answer = { headers: response.headers, body: await response.text() };
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${answer.body}`);
    return answer;
  }
}

const random = (bytes: number): string => randomBytes(bytes).toString('hex');

/** A blob that is put whole, up to 200 KB. */
function putBlob(name: string): Register {
  return {
    name,
    next: () => random(1 + Math.floor(Math.random() * 100_000)),
    write: async ({ container }, value) => {
      await container.getBlockBlobClient(name).upload(value, value.length);
    },
    read: (clients) => readBlob(clients, name),
  };
}

/** A blob that is put whole and deleted in turns. */
function deletedBlob(name: string): Register {
  return {
    name,
    next: (present) => (present === EMPTY ? random(20) : EMPTY),
    write: async ({ container }, value) => {
      const blob = container.getBlockBlobClient(name);
      await (value === EMPTY ? blob.delete() : blob.upload(value, value.length));
    },
    read: (clients) => readBlob(clients, name),
  };
}

/** A blob of two blocks: `value` is there whole or not at all. */
function blockBlob(name: string): Register {
  return {
    name,
    next: () => random(5000),
    write: async ({ container }, value) => {
      const blob = container.getBlockBlobClient(name);
      const half = value.length / 2;
      await blob.stageBlock('AAAA', value.slice(0, half), half);
      await blob.stageBlock('BBBB', value.slice(half), half);
      await blob.commitBlockList(['AAAA', 'BBBB']);
    },
    read: (clients) => readBlob(clients, name),
  };
}

function appendBlob(name: string): Register {
  return {
    name,
    next: (present) => present + random(8),
    write: async ({ container }, value, present) => {
      const blob = container.getAppendBlobClient(name);
      if (present === EMPTY) await blob.createIfNotExists();
      await blob.appendBlock(value.slice(present.length), value.length - present.length);
    },
    read: (clients) => readBlob(clients, name),
  };
}

async function readBlob({ container }: Clients, name: string): Promise<string> {
  try {
    return (await container.getBlobClient(name).downloadToBuffer()).toString();
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return EMPTY;
    throw error;
  }
}

/** An entity that is created, updated under its ETag and deleted under its ETag. */
function entity(name: string): Register {
  return {
    name,
    next: (present) => (present === EMPTY || Math.random() < 0.7 ? random(50) : EMPTY),
    write: async ({ table }, value, present) => {
      if (present === EMPTY) {
        await table.createEntity({ partitionKey: name, rowKey: 'row', value });
        return;
      }
      const { etag } = await table.getEntity(name, 'row');
      if (value === EMPTY) await table.deleteEntity(name, 'row', { etag });
      else await table.updateEntity({ partitionKey: name, rowKey: 'row', value }, 'Replace', { etag });
    },
    read: async ({ table }) => (await listValues(table, name))[0] ?? EMPTY,
  };
}

/** Twenty entities that are written in one transaction: as replacements, merges, or deleted and made anew. */
function batch(name: string): Register {
  const rows = Array.from({ length: 20 }, (_, index) => `row${index}`);
  return {
    name,
    next: (present) => (present === EMPTY || Math.random() < 0.8 ? random(50) : EMPTY),
    write: async ({ table }, value) => {
      const transaction = new TableTransaction();
      for (const rowKey of rows) {
        if (value === EMPTY) transaction.deleteEntity(name, rowKey);
        else {
          const mode = Math.random() < 0.5 ? 'Replace' : 'Merge';
          transaction.upsertEntity({ partitionKey: name, rowKey, value }, mode);
        }
      }
      await table.submitTransaction(transaction.actions);
    },
    read: async ({ table }) => {
      const values = await listValues(table, name);
      if (values.length === 0) return EMPTY;
      const same = values.length === rows.length && values.every((value) => value === values[0]);
      return same ? (values[0] ?? EMPTY) : `a torn transaction: ${values.join(', ')}`;
    },
  };
}

async function listValues(table: TableClient, partitionKey: string): Promise<string[]> {
  const values: string[] = [];
  for await (const found of table.listEntities({
    queryOptions: { filter: `PartitionKey eq '${partitionKey}'` },
  })) {
    values.push(String(found['value']));
  }
  return values;
}

/** A queue of at most one message, that is sent, received and deleted. */
function queue(name: string): Register {
  return {
    name,
    next: (present) => (present === EMPTY ? random(10) : EMPTY),
    write: async ({ queue }, value) => {
      if (value !== EMPTY) {
        await queue.send('POST', `${name}/messages`, value);
        return;
      }
      const received = await queue.send('GET', `${name}/messages?visibilitytimeout=1`);
      const receipt = encodeURIComponent(textOf(received.body, 'PopReceipt'));
      await queue.send(
        'DELETE',
        `${name}/messages/${textOf(received.body, 'MessageId')}?popreceipt=${receipt}`,
      );
    },
    read: async ({ queue }) => {
      const properties = await queue.send('HEAD', `${name}?comp=metadata`);
      const count = Number(properties.headers.get('x-ms-approximate-messages-count'));
      if (count === 0) return EMPTY;
      const { body } = await queue.send('GET', `${name}/messages?peekonly=true`);
      const text = textOf(body, 'MessageText');
      if (text === '' || count > 1)
        throw new Error(`${name} has ${count} messages, or a received one is still hidden`);
      return text;
    },
  };
}

function textOf(xml: string, tag: string): string {
  return xml.match(`<${tag}>(.*?)</${tag}>`)?.[1] ?? '';
}

/** One register of each kind, twice. */
export function createRegisters(): Register[] {
  const kinds = { putBlob, deletedBlob, blockBlob, appendBlob, entity, batch, queue };
  return Object.entries(kinds).flatMap(([kind, create]) =>
    ['1', '2'].map((number) => create(`${kind.toLowerCase()}${number}`)),
  );
}
