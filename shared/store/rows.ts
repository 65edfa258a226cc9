import { type z } from 'zod';
import { DomainError } from '../fault.ts';
import { decodeValue } from './entity.ts';
import { type RowKey, type RowRange } from './row-key.ts';
import { isNotFound } from './storage-fault.ts';
import { type Entity, type Table } from './table.ts';

/** A value as it lies in its row, with the etag by which a change of it is guarded. */
export type Row<T> = { value: T; etag: string };
export type RowPage<T> = { rows: Row<T>[]; continuation?: string };

/** Rows of one shape. What comes out of the table is checked against the schema. */
export class Rows<T> {
  readonly #table: Table;
  readonly #schema: z.ZodType<T>;

  constructor(table: Table, schema: z.ZodType<T>) {
    this.#table = table;
    this.#schema = schema;
  }

  async find(key: RowKey): Promise<Row<T> | undefined> {
    const entity = await this.#table.find(key);
    return entity && this.#decode(entity);
  }

  /** @throws ResourceNotFound; `subject` names what was looked for: "The policy 'gold'". */
  async get(key: RowKey, subject: string): Promise<Row<T>> {
    const row = await this.find(key);
    if (row === undefined) throw notFound(subject);
    return row;
  }

  /** @throws Conflict when there is such a row already. */
  async insert(key: RowKey, value: T): Promise<Row<T>> {
    return { value, etag: await this.#table.write({ do: 'insert', key, value }) };
  }

  /** @throws PreconditionFailed when the row was changed since `etag` was read. */
  async replace(key: RowKey, value: T, etag: string): Promise<Row<T>> {
    return { value, etag: await this.#table.write({ do: 'replace', key, value, etag }) };
  }

  /** Writes whatever is there now. Only for rows with one writer, or whose value does not depend on the old one. */
  async upsert(key: RowKey, value: T): Promise<Row<T>> {
    return { value, etag: await this.#table.write({ do: 'upsert', key, value }) };
  }

  /** @throws PreconditionFailed when an etag is given and the row was changed since. */
  delete(key: RowKey, etag?: string): Promise<void> {
    return this.#table.delete(key, etag);
  }

  /** One page, in key order. */
  async page(
    range: RowRange,
    options?: { most?: number | undefined; continuation?: string | undefined },
  ): Promise<RowPage<T>> {
    const { entities, ...rest } = await this.#table.page(range, options);
    return { rows: entities.map((entity) => this.#decode(entity)), ...rest };
  }

  /** Rows that came from the table some other way, each with its key. */
  decodeAll(entities: readonly Entity[]): { key: string; value: T }[] {
    return entities.map((entity) => ({ key: entity.rowKey, value: this.#decode(entity).value }));
  }

  /** Every row of the range. For what is bounded by nature (policies of a vault), not for machines or jobs. */
  async all(range: RowRange): Promise<Row<T>[]> {
    const rows: Row<T>[] = [];
    let continuation: string | undefined;
    do {
      const page = await this.page(range, { continuation });
      rows.push(...page.rows);
      continuation = page.continuation;
    } while (continuation !== undefined);
    return rows;
  }

  /**
   * Reads, decides, writes; begins again when somebody else wrote in between. `change` may be called several times
   * and may be given nothing (no such row yet); undefined from it leaves the row as it is.
   */
  async update(key: RowKey, change: (value: T | undefined) => T | undefined): Promise<T | undefined> {
    return updating(async () => {
      const row = await this.find(key);
      const value = change(row?.value);
      if (value === undefined) return row?.value;
      await (row ? this.replace(key, value, row.etag) : this.insert(key, value));
      return value;
    });
  }

  #decode(entity: Entity): Row<T> {
    return { value: this.#schema.parse(decodeValue(entity)), etag: entity.etag };
  }
}

const mostAttempts = 20;

/** Runs what reads, decides and writes under an ETag; again when somebody else wrote in between. */
export async function updating<R>(attempt: () => Promise<R>): Promise<R> {
  for (let number = 1; ; number += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (number === mostAttempts || !isLostRace(error)) throw error;
    }
  }
}

/** Whether a guarded write failed because somebody else wrote, inserted or deleted the row meanwhile. */
export function isLostRace(error: unknown): boolean {
  if (!(error instanceof DomainError)) return isNotFound(error);
  return error.fault.code === 'PreconditionFailed' || error.fault.code === 'Conflict';
}

/** The fault for something that is not there: "The policy 'gold' was not found." */
export function notFound(subject: string): DomainError {
  return new DomainError({
    code: 'ResourceNotFound',
    message: `${subject} was not found.`,
    recommendedAction: 'Check the name, or list what there is.',
  });
}
