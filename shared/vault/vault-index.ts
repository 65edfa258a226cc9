/**
 * All vaults, whatever their subscription: what timers walk. A vault's entry is written before the vault, and goes
 * when nothing is remembered of it any more; an entry without a vault does no harm.
 */
import { z } from 'zod';
import { type VaultRef } from '../arm/resource-id.ts';
import { type RowKey, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';

const Entry = z.object({ subscriptionId: z.string(), resourceGroup: z.string(), vaultName: z.string() });

const partition = 'vaultindex';
const kind = 'vault';

export async function addToVaultIndex(table: Table, vault: VaultRef): Promise<void> {
  const { subscriptionId, resourceGroup, vaultName } = vault;
  await new Rows(table, Entry).upsert(entryKey(vault), { subscriptionId, resourceGroup, vaultName });
}

export async function removeFromVaultIndex(table: Table, vault: VaultRef): Promise<void> {
  await new Rows(table, Entry).delete(entryKey(vault));
}

/** Every vault, a page of the index at a time. */
export async function* allVaults(table: Table): AsyncGenerator<VaultRef> {
  let continuation: string | undefined;
  do {
    const page = await new Rows(table, Entry).page(rowsBelow(partition, kind), { continuation });
    for (const { value } of page.rows) yield value;
    continuation = page.continuation;
  } while (continuation !== undefined);
}

function entryKey(vault: VaultRef): RowKey {
  return rowKey(partition, kind, vaultPartition(vault));
}
