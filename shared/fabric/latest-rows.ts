/**
 * Rows of what senders say again and again, of which the latest by its sender's order counts.
 *
 * What comes while a transaction is under way is written by the next one, up to a hundred rows of a vault at once, so
 * that a flood of check-ins costs the table one transaction for many of them instead of a read and a write each. The
 * order and etag of each row are remembered: a write needs no read before it as long as nobody else wrote the row. The
 * etag goes with every write, so a row that another instance of the app wrote meanwhile is seen, read again and merged:
 * nothing later is ever overwritten by something earlier.
 */
import { type z } from 'zod';
import { DomainError } from '../fault.ts';
import { type RowKey } from '../store/row-key.ts';
import { Rows, isLostRace } from '../store/rows.ts';
import { type RowWrite, type Table, mostWritesAtOnce } from '../store/table.ts';
import { type SenderOrder, isLater } from './sender-order.ts';

/** A row as it was when it was read or written last; nothing in it: there is no such row. */
type Known = { order?: SenderOrder | undefined; etag?: string | undefined };
/** One who waits until its news, or something later, is in the table. */
type Waiting<T> = { key: RowKey; news: T; kept: () => void; failed: (error: unknown) => void };
/** One row that is to be written, and all who wait for it. */
type Target<T> = { id: string; key: RowKey; news: T; waiting: Waiting<T>[] };

/** How many rows are remembered; a GUID or two each. */
const mostKnown = 50_000;
/** Of the rows' JSON in one transaction, which takes 4 MiB with all that is around them. */
const mostUnitsAtOnce = 1_500_000;
const mostAttempts = 20;
/** After a lost race another instance serves the same senders, and what is remembered here is likely to be old. */
const readsFirstForMs = 10_000;

export class LatestRows<T extends { order: SenderOrder }> {
  readonly #table: Table;
  readonly #rows: Rows<T>;
  readonly #known = new Map<string, Known>();
  /** By partition, what waits for its next transaction; a partition has one transaction at a time. */
  readonly #waiting = new Map<string, Waiting<T>[]>();
  readonly #readsFirstUntilMs = new Map<string, number>();

  constructor(table: Table, schema: z.ZodType<T>) {
    this.#table = table;
    this.#rows = new Rows(table, schema);
  }

  /** Resolves when the news, or something later of this row, is in the table. @throws Unavailable */
  keep(key: RowKey, news: T): Promise<void> {
    return new Promise((kept, failed) => {
      const one = { key, news, kept, failed };
      const waiting = this.#waiting.get(key.partition);
      if (waiting !== undefined) {
        waiting.push(one);
        return;
      }
      this.#waiting.set(key.partition, [one]);
      setImmediate(() => void this.#writeAll(key.partition));
    });
  }

  async #writeAll(partition: string): Promise<void> {
    const waiting = this.#waiting.get(partition) ?? [];
    while (waiting.length > 0) await this.#settle(partition, takeTargets(waiting));
    this.#waiting.delete(partition);
  }

  /** Writes the rows and tells all who wait for them how it went. A row that can't be written fails alone. */
  async #settle(partition: string, targets: readonly Target<T>[]): Promise<void> {
    try {
      await this.#write(partition, targets);
    } catch (error) {
      const all = error instanceof DomainError && error.fault.code === 'Unavailable';
      if (targets.length > 1 && !all) {
        for (const target of targets) await this.#settle(partition, [target]);
        return;
      }
      for (const { failed } of targets.flatMap(({ waiting }) => waiting)) failed(error);
      return;
    }
    for (const { kept } of targets.flatMap(({ waiting }) => waiting)) kept();
  }

  async #write(partition: string, targets: readonly Target<T>[]): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const known = await Promise.all(targets.map((target) => this.#look(target)));
        await this.#commit(
          targets.flatMap((target, at) => {
            const { order, etag } = known[at] ?? {};
            return order !== undefined && !isLater(target.news.order, order) ? [] : [{ target, etag }];
          }),
        );
        return;
      } catch (error) {
        for (const { id } of targets) this.#known.delete(id);
        if (attempt === mostAttempts || !isLostRace(error)) throw error;
        this.#readsFirstUntilMs.set(partition, Date.now() + readsFirstForMs);
      }
    }
  }

  /** What is known of the row: remembered where that is enough, else read. */
  async #look({ id, key, news }: Target<T>): Promise<Known> {
    const known = this.#known.get(id);
    if (known !== undefined) {
      // An order only grows, so what is not later than a remembered one is no news, however old the memory.
      if (known.order !== undefined && !isLater(news.order, known.order)) return known;
      if ((this.#readsFirstUntilMs.get(key.partition) ?? 0) < Date.now()) return known;
    }
    const row = await this.#rows.find(key);
    return row === undefined ? {} : this.#remember(id, { order: row.value.order, etag: row.etag });
  }

  #remember(id: string, known: Known): Known {
    if (this.#known.size >= mostKnown) this.#known.clear();
    this.#known.set(id, known);
    return known;
  }

  async #commit(due: readonly { target: Target<T>; etag: string | undefined }[]): Promise<void> {
    const writes = due.map(({ target: { key, news }, etag }): RowWrite =>
      etag === undefined ? { do: 'insert', key, value: news } : { do: 'replace', key, value: news, etag },
    );
    const etags = await this.#table.transact(writes);
    for (const [at, { target }] of due.entries()) {
      const etag = etags[at];
      if (etag !== undefined) this.#remember(target.id, { order: target.news.order, etag });
    }
  }
}

/** Takes as much as fits in one transaction from the front; several news of one row come down to the latest. */
function takeTargets<T extends { order: SenderOrder }>(waiting: Waiting<T>[]): Target<T>[] {
  const targets = new Map<string, Target<T>>();
  let units = 0;
  let taken = 0;
  for (const one of waiting) {
    const id = `${one.key.partition}/${one.key.row}`;
    const target = targets.get(id);
    if (target === undefined) {
      units += JSON.stringify(one.news).length;
      if (targets.size === mostWritesAtOnce || (units > mostUnitsAtOnce && taken > 0)) break;
      targets.set(id, { id, key: one.key, news: one.news, waiting: [one] });
    } else {
      target.waiting.push(one);
      if (isLater(one.news.order, target.news.order)) target.news = one.news;
    }
    taken += 1;
  }
  waiting.splice(0, taken);
  return [...targets.values()];
}
