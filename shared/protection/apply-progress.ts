/** What appliances tell of their items' replication, into the items' rows. */
import { type ApplianceRef, findApplianceItem, listApplianceItems } from '../fabric/appliance-item.ts';
import { LatestRows } from '../fabric/latest-rows.ts';
import { KeptProgress } from '../fabric/progress.ts';
import { type SenderOrder } from '../fabric/sender-order.ts';
import { vaultPartition } from '../store/row-key.ts';
import { type Table } from '../store/table.ts';
import { type ItemProgress } from '../wire/check-in.ts';
import { decodeItemRow, itemKey } from './item-row.ts';
import { type ItemNames } from './protected-item.ts';

/** How many items' names are remembered. */
const mostNames = 50_000;
/** An appliance's whole index is read at most this often; items that are not in it are asked for one by one. */
const indexEveryMs = 10_000;

/** Keeps the progress of protected items. One for the process: it remembers which item has which row, and what it wrote. */
export class ProgressKeeper {
  readonly #table: Table;
  readonly #rows: LatestRows<KeptProgress>;
  /** By appliance and GUID. An item's names never change. */
  readonly #names = new Map<string, ItemNames>();
  readonly #indexes = new Map<string, { readAtMs: number; read: Promise<void> }>();

  constructor(table: Table) {
    this.#table = table;
    this.#rows = new LatestRows(table, {
      idOf: ({ progress }) => progress.protectedItemId,
      read: (entity, { progress }) => {
        const row = decodeItemRow(entity);
        // Another item may have the name by now.
        return row.item.protectedItemId === progress.protectedItemId
          ? { order: row.progress?.order }
          : undefined;
      },
      write: (key, progress, etag) =>
        etag === undefined ? undefined : { do: 'merge', key, parts: { progress }, etag },
    });
  }

  /**
   * Keeps the progress of some items of one appliance, except where a later one is there already. Items that the
   * appliance does not replicate, or that are gone, are passed over.
   * @throws Unavailable
   */
  async apply(
    appliance: ApplianceRef,
    news: { order: SenderOrder; sentAtMs: number; items: readonly ItemProgress[] },
  ): Promise<void> {
    const { order, sentAtMs } = news;
    const latest = new Map(news.items.map((progress) => [progress.protectedItemId.toLowerCase(), progress]));
    await Promise.all(
      [...latest].map(async ([protectedItemId, told]) => {
        const names = await this.#namesOf(appliance, protectedItemId);
        if (names === undefined) return;
        const progress = { ...told, protectedItemId };
        await this.#rows.keep(itemKey(appliance.vault, names), { order, sentAtMs, progress });
      }),
    );
  }

  async #namesOf(appliance: ApplianceRef, protectedItemId: string): Promise<ItemNames | undefined> {
    const prefix = `${vaultPartition(appliance.vault)}/${appliance.applianceId}/`;
    const known = this.#names.get(prefix + protectedItemId);
    if (known !== undefined) return known;
    await this.#readIndex(appliance, prefix);
    const indexed = this.#names.get(prefix + protectedItemId);
    if (indexed !== undefined) return indexed;
    const found = await findApplianceItem(this.#table, appliance, protectedItemId);
    if (found !== undefined) this.#remember(prefix, found);
    return found;
  }

  /** Reads all of the appliance's items at once, as where one is unknown the others are too. */
  async #readIndex(appliance: ApplianceRef, prefix: string): Promise<void> {
    const known = this.#indexes.get(prefix);
    if (known !== undefined && Date.now() - known.readAtMs < indexEveryMs) return known.read;
    const read = (async () => {
      for (const item of await listApplianceItems(this.#table, appliance)) this.#remember(prefix, item);
    })();
    this.#indexes.set(prefix, { readAtMs: Date.now(), read });
    try {
      await read;
    } catch (error) {
      this.#indexes.delete(prefix);
      throw error;
    }
  }

  #remember(prefix: string, item: ItemNames & { protectedItemId: string }): void {
    if (this.#names.size >= mostNames) this.#names.clear();
    const { fabricName, containerName, itemName } = item;
    this.#names.set(prefix + item.protectedItemId, { fabricName, containerName, itemName });
  }
}
