/**
 * Rows of what senders say again and again, of which the latest by its sender's order counts.
 *
 * What comes while a transaction is under way is written by the next one, up to a hundred rows of a vault at once, so
 * that a flood of check-ins costs the table one transaction for many of them instead of a read and a write each. The
 * order and etag of each row are remembered: a write needs no read before it as long as nobody else wrote the row. The
 * etag goes with every write, so a row that another instance of the app wrote meanwhile is seen, read again and merged:
 * nothing later is ever overwritten by something earlier.
 */
import { DomainError } from '../fault.ts';
import { type RowKey } from '../store/row-key.ts';
import { isLostRace } from '../store/rows.ts';
import { type Entity, type RowWrite, type Table, mostWritesAtOnce } from '../store/table.ts';
import { type SenderOrder, isLater } from './sender-order.ts';

/** How news of a kind lie in their rows. */
export interface LatestShape<T> {
  /** Tells apart what may come to lie under the same key at different times. */
  idOf(news: T): string;
  /** The order of what the row holds, if it holds any; undefined when the row is not that of this news. */
  read(entity: Entity, news: T): { order: SenderOrder | undefined } | undefined;
  /** The write that keeps the news in the row of this etag, or in a new row; undefined: it is dropped. */
  write(key: RowKey, news: T, etag: string | undefined): RowWrite | undefined;
}

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
/** After so many lost races in a row others write these rows too, and what is remembered here is likely to be old. */
const mostLostRaces = 4;
const readsFirstForMs = 10_000;

export class LatestRows<T extends { order: SenderOrder }> {
  readonly #table: Table;
  readonly #shape: LatestShape<T>;
  readonly #known = new Map<string, Known>();
  /** By partition, what waits for its next transaction; a partition has one transaction at a time. */
  readonly #waiting = new Map<string, Waiting<T>[]>();
  readonly #races = new Map<string, { lostInARow: number; readsFirstUntilMs: number }>();

  constructor(table: Table, shape: LatestShape<T>) {
    this.#table = table;
    this.#shape = shape;
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
    while (waiting.length > 0) await this.#settle(partition, takeTargets(this.#shape, waiting));
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
        await this.#commit(targets.flatMap((target, at) => this.#dueOf(target, known[at] ?? {})));
        if (attempt === 1) this.#races.delete(partition);
        return;
      } catch (error) {
        for (const { id } of targets) this.#known.delete(id);
        if (attempt === mostAttempts || !isLostRace(error)) throw error;
        this.#noteLostRace(partition);
      }
    }
  }

  /** What is known of the row: remembered where that is enough, else read. */
  async #look({ id, key, news }: Target<T>): Promise<Known> {
    const known = this.#known.get(id);
    if (known !== undefined) {
      // An order only grows, so what is not later than a remembered one is no news, however old the memory.
      if (known.order !== undefined && !isLater(news.order, known.order)) return known;
      if ((this.#races.get(key.partition)?.readsFirstUntilMs ?? 0) < Date.now()) return known;
    }
    const entity = await this.#table.find(key);
    const held = entity && this.#shape.read(entity, news);
    return held === undefined ? {} : this.#remember(id, { ...held, etag: entity?.etag });
  }

  #dueOf(target: Target<T>, { order, etag }: Known): { target: Target<T>; write: RowWrite }[] {
    if (order !== undefined && !isLater(target.news.order, order)) return [];
    const write = this.#shape.write(target.key, target.news, etag);
    return write === undefined ? [] : [{ target, write }];
  }

  #noteLostRace(partition: string): void {
    const lostInARow = (this.#races.get(partition)?.lostInARow ?? 0) + 1;
    const readsFirst = lostInARow >= mostLostRaces;
    this.#races.set(partition, {
      lostInARow: readsFirst ? 0 : lostInARow,
      readsFirstUntilMs: readsFirst ? Date.now() + readsFirstForMs : 0,
    });
  }

  #remember(id: string, known: Known): Known {
    if (this.#known.size >= mostKnown) this.#known.clear();
    this.#known.set(id, known);
    return known;
  }

  async #commit(due: readonly { target: Target<T>; write: RowWrite }[]): Promise<void> {
    const etags = await this.#table.transact(due.map(({ write }) => write));
    for (const [at, { target }] of due.entries()) {
      const etag = etags[at];
      if (etag !== undefined) this.#remember(target.id, { order: target.news.order, etag });
    }
  }
}

/** Takes as much as fits in one transaction from the front; several news of one row come down to the latest. */
function takeTargets<T extends { order: SenderOrder }>(
  shape: LatestShape<T>,
  waiting: Waiting<T>[],
): Target<T>[] {
  const targets = new Map<string, Target<T>>();
  let units = 0;
  let taken = 0;
  for (const one of waiting) {
    const id = `${one.key.partition}/${one.key.row}/${shape.idOf(one.news)}`;
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
