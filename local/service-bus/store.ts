import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { Journal, StoreFailure } from './journal.ts';
import type { MessageContent } from './message.ts';
import type { QueueDescription } from './queue-description.ts';

/** How much content of messages that nobody has received yet is kept in memory. */
const CACHE_BYTES = 32 * 1024 * 1024;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS queues (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    description TEXT NOT NULL,
    next_sequence INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
  );
  CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue_id INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    enqueued_at INTEGER NOT NULL,
    scheduled_at INTEGER,
    expires_at INTEGER,
    delivery_count INTEGER NOT NULL,
    durable INTEGER NOT NULL,
    priority INTEGER,
    ttl INTEGER,
    message_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    annotation_items INTEGER NOT NULL,
    annotations BLOB NOT NULL,
    bare BLOB NOT NULL
  );
  CREATE UNIQUE INDEX IF NOT EXISTS messages_by_sequence ON messages (queue_id, dead, sequence);
  CREATE TABLE IF NOT EXISTS seen_messages (
    queue_id INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (queue_id, message_id)
  ) WITHOUT ROWID;
`;

/** A queue as stored. */
export interface StoredQueue {
  id: number;
  name: string;
  description: QueueDescription;
  nextSequence: number;
  createdAtMs: number;
  updatedAtMs: number;
}

/** A message as stored; `content` is read again from the store where it was let go. */
export interface StoredMessage {
  id: number;
  dead: boolean;
  sequence: number;
  enqueuedAtMs: number;
  /** Set while the message waits for its time. */
  scheduledAtMs: number | undefined;
  expiresAtMs: number | undefined;
  /** How often its delivery has failed. */
  deliveryCount: number;
  durable: boolean;
  priority: number | undefined;
  ttlMs: number | undefined;
  messageId: string;
  sizeBytes: number;
  content: MessageContent | undefined;
}

type Row = Record<string, number | string | null | Uint8Array>;

const FACTS =
  'id, dead, sequence, enqueued_at, scheduled_at, expires_at, delivery_count, durable, priority, ttl, message_id, size';

/** Queues and messages on disk (SQLite in WAL mode). Every write belongs to the journal's transaction. */
export class Store {
  readonly journal: Journal;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #cachedBytes = 0;

  /**
   * Opens or creates `service-bus.db` in the folder.
   * @throws StoreFailure when another broker has it open or it cannot be read.
   */
  constructor(dataFolder: string) {
    const file = join(dataFolder, 'service-bus.db');
    try {
      mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
      this.#database = new DatabaseSync(file);
      this.#database.exec(
        'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;',
      );
      this.#database.exec(SCHEMA);
    } catch (cause) {
      throw new StoreFailure(
        `The Service Bus store '${file}' cannot be opened; is another local platform using it?`,
        { cause },
      );
    }
    this.journal = new Journal(this.#database);
  }

  close(): void {
    this.journal.close();
    this.#database.close();
  }

  loadQueues(): StoredQueue[] {
    const rows = this.#prepare('SELECT * FROM queues ORDER BY name').all() as Row[];
    return rows.map((row) => ({
      id: Number(row['id']),
      name: String(row['name']),
      description: JSON.parse(String(row['description'])) as QueueDescription,
      nextSequence: Number(row['next_sequence']),
      createdAtMs: Number(row['created_at']),
      updatedAtMs: Number(row['updated_at']),
    }));
  }

  insertQueue(name: string, description: QueueDescription, nowMs: number): StoredQueue {
    const insert = this.#prepare(
      'INSERT INTO queues (name, description, next_sequence, created_at, updated_at) VALUES (?, ?, 1, ?, ?)',
    );
    const json = JSON.stringify(description);
    const { lastInsertRowid } = this.journal.write(() => insert.run(name, json, nowMs, nowMs));
    const times = { createdAtMs: nowMs, updatedAtMs: nowMs };
    return { id: Number(lastInsertRowid), name, description, nextSequence: 1, ...times };
  }

  updateQueue(queue: StoredQueue): void {
    const update = this.#prepare('UPDATE queues SET description = ?, updated_at = ? WHERE id = ?');
    const json = JSON.stringify(queue.description);
    this.journal.write(() => update.run(json, queue.updatedAtMs, queue.id));
  }

  deleteQueue(queueId: number): void {
    this.journal.write(() => {
      this.#prepare('DELETE FROM messages WHERE queue_id = ?').run(queueId);
      this.#prepare('DELETE FROM seen_messages WHERE queue_id = ?').run(queueId);
      this.#prepare('DELETE FROM queues WHERE id = ?').run(queueId);
    });
  }

  /** Stores the queue's next sequence number with this turn's transaction, once. */
  keepNextSequence(queue: StoredQueue): void {
    this.journal.beforeCommit(queue, () => {
      this.#prepare('UPDATE queues SET next_sequence = ? WHERE id = ?').run(queue.nextSequence, queue.id);
    });
  }

  /** All messages of a queue in sequence order, without their content. */
  loadMessages(queueId: number): StoredMessage[] {
    const rows = this.#prepare(
      `SELECT ${FACTS} FROM messages WHERE queue_id = ? ORDER BY dead, sequence`,
    ).all(queueId) as Row[];
    return rows.map((row) => readFacts(row));
  }

  /** Up to `count` messages from a sequence number on, with their content. */
  peekMessages(queueId: number, dead: boolean, fromSequence: number, count: number): StoredMessage[] {
    const rows = this.#prepare(
      'SELECT * FROM messages WHERE queue_id = ? AND dead = ? AND sequence >= ? ORDER BY sequence LIMIT ?',
    ).all(queueId, Number(dead), fromSequence, count) as Row[];
    return rows.map((row) => ({ ...readFacts(row), content: readContent(row) }));
  }

  contentOf(message: StoredMessage): MessageContent {
    if (message.content !== undefined) return message.content;
    const row = this.#prepare('SELECT annotation_items, annotations, bare FROM messages WHERE id = ?').get(
      message.id,
    ) as Row | undefined;
    if (row === undefined) throw new StoreFailure(`Message ${message.id} is not in the store any more.`);
    return readContent(row);
  }

  /** Keeps a new message's content at hand, while there is room for it. */
  cacheContent(message: StoredMessage, { bare, annotations, annotationItems }: MessageContent): void {
    if (this.#cachedBytes + message.sizeBytes > CACHE_BYTES) return;
    this.#cachedBytes += message.sizeBytes;
    message.content = { bare, annotations, annotationItems };
  }

  /** A message's content, let go from memory as it is handed out. */
  takeContent(message: StoredMessage): MessageContent {
    const content = this.contentOf(message);
    this.dropContent(message);
    return content;
  }

  /** Lets a message's content go from memory. */
  dropContent(message: StoredMessage): void {
    if (message.content === undefined) return;
    this.#cachedBytes -= message.sizeBytes;
    message.content = undefined;
  }

  /** Inserts a message and sets its id. */
  insertMessage(queueId: number, message: StoredMessage, content: MessageContent): void {
    const insert = this.#prepare(
      `INSERT INTO messages (queue_id, dead, sequence, enqueued_at, scheduled_at, expires_at, delivery_count,
         durable, priority, ttl, message_id, size, annotation_items, annotations, bare)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    const { lastInsertRowid } = this.journal.write(() =>
      insert.run(
        queueId,
        Number(message.dead),
        message.sequence,
        message.enqueuedAtMs,
        message.scheduledAtMs ?? null,
        message.expiresAtMs ?? null,
        message.deliveryCount,
        Number(message.durable),
        message.priority ?? null,
        message.ttlMs ?? null,
        message.messageId,
        message.sizeBytes,
        content.annotationItems,
        content.annotations,
        content.bare,
      ),
    );
    message.id = Number(lastInsertRowid);
  }

  /** Stores what changes in a message's life: place, times and delivery count. */
  updateMessage(message: StoredMessage): void {
    const update = this.#prepare(
      `UPDATE messages SET dead = ?, sequence = ?, enqueued_at = ?, scheduled_at = ?, expires_at = ?,
         delivery_count = ? WHERE id = ?`,
    );
    this.journal.write(() =>
      update.run(
        Number(message.dead),
        message.sequence,
        message.enqueuedAtMs,
        message.scheduledAtMs ?? null,
        message.expiresAtMs ?? null,
        message.deliveryCount,
        message.id,
      ),
    );
  }

  /** Stores a new bare part (changed application properties). */
  updateBare(message: StoredMessage, bare: Buffer): void {
    const update = this.#prepare('UPDATE messages SET bare = ? WHERE id = ?');
    this.journal.write(() => update.run(bare, message.id));
  }

  deleteMessage(message: StoredMessage): void {
    const remove = this.#prepare('DELETE FROM messages WHERE id = ?');
    this.journal.write(() => remove.run(message.id));
  }

  /** The message ids a queue has seen and still remembers, oldest first. */
  loadSeen(queueId: number, nowMs: number): [messageId: string, expiresAtMs: number][] {
    const rows = this.#prepare(
      'SELECT message_id, expires_at FROM seen_messages WHERE queue_id = ? AND expires_at > ? ORDER BY expires_at',
    ).all(queueId, nowMs) as Row[];
    return rows.map((row) => [String(row['message_id']), Number(row['expires_at'])]);
  }

  rememberSeen(queueId: number, messageId: string, expiresAtMs: number): void {
    const remember = this.#prepare('INSERT OR REPLACE INTO seen_messages VALUES (?, ?, ?)');
    this.journal.write(() => remember.run(queueId, messageId, expiresAtMs));
  }

  forgetSeen(queueId: number, messageId: string): void {
    const forget = this.#prepare('DELETE FROM seen_messages WHERE queue_id = ? AND message_id = ?');
    this.journal.write(() => forget.run(queueId, messageId));
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function readFacts(row: Row): StoredMessage {
  return {
    id: Number(row['id']),
    dead: row['dead'] === 1,
    sequence: Number(row['sequence']),
    enqueuedAtMs: Number(row['enqueued_at']),
    scheduledAtMs: optionalNumber(row['scheduled_at']),
    expiresAtMs: optionalNumber(row['expires_at']),
    deliveryCount: Number(row['delivery_count']),
    durable: row['durable'] === 1,
    priority: optionalNumber(row['priority']),
    ttlMs: optionalNumber(row['ttl']),
    messageId: String(row['message_id']),
    sizeBytes: Number(row['size']),
    content: undefined,
  };
}

function readContent(row: Row): MessageContent {
  return {
    annotationItems: Number(row['annotation_items']),
    annotations: Buffer.from(row['annotations'] as Uint8Array),
    bare: Buffer.from(row['bare'] as Uint8Array),
  };
}

function optionalNumber(value: Row[string] | undefined): number | undefined {
  return value === null || value === undefined ? undefined : Number(value);
}
