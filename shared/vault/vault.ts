import { z } from 'zod';
import { type VaultRef, vaultIdOf } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { type RowKey, type RowRange, keyPart, rowKey, rowsBelow } from '../store/row-key.ts';
import { type Row, type RowPage, Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { addToVaultIndex } from './vault-index.ts';

/** A vault as it lies in its row. */
export const Vault = z.object({
  subscriptionId: z.string(),
  resourceGroup: z.string(),
  vaultName: z.string(),
  location: z.string(),
  tags: z.record(z.string(), z.string()),
  sku: z.object({ name: z.string(), tier: z.string().exactOptional() }),
  publicNetworkAccess: z.enum(['Enabled', 'Disabled']),
  createdAtMs: z.number(),
  /** A delete of the vault has begun. Nothing may be made in it any more. */
  deleting: z.literal(true).exactOptional(),
});
export type Vault = z.infer<typeof Vault>;

const kind = 'vaults';

/** Vaults of a subscription lie in one partition, so that listing them is one range. */
function vaultKey(vault: VaultRef): RowKey {
  return rowKey(keyPart(vault.subscriptionId), kind, vault.resourceGroup, vault.vaultName);
}

/** Reads and writes vaults. */
export class VaultStore {
  readonly #table: Table;
  readonly #rows: Rows<Vault>;

  constructor(table: Table) {
    this.#table = table;
    this.#rows = new Rows(table, Vault);
  }

  find(vault: VaultRef): Promise<Row<Vault> | undefined> {
    return this.#rows.find(vaultKey(vault));
  }

  /** The vault with its names spelled as when it was made. @throws ResourceNotFound */
  async get(vault: VaultRef): Promise<Row<Vault>> {
    const row = await this.find(vault);
    if (row === undefined) throw vaultNotFound(vault);
    return row;
  }

  async insert(vault: Vault): Promise<Row<Vault>> {
    await addToVaultIndex(this.#table, vault);
    return this.#rows.insert(vaultKey(vault), vault);
  }

  replace(vault: Vault, etag: string): Promise<Row<Vault>> {
    return this.#rows.replace(vaultKey(vault), vault, etag);
  }

  /** The entry in the index of all vaults goes later, when nothing is remembered of the vault any more. */
  async delete(vault: VaultRef): Promise<void> {
    await this.#rows.delete(vaultKey(vault));
  }

  page(
    where: { subscriptionId: string; resourceGroup?: string },
    continuation: string | undefined,
  ): Promise<RowPage<Vault>> {
    const below = where.resourceGroup === undefined ? [] : [where.resourceGroup];
    const range: RowRange = rowsBelow(keyPart(where.subscriptionId), kind, ...below);
    return this.#rows.page(range, { continuation });
  }
}

/**
 * The vault something is to be made in, with its names spelled as when it was made.
 * @throws ResourceNotFound; Conflict while it is being deleted.
 */
export async function requireVault(table: Table, vault: VaultRef): Promise<VaultRef> {
  const { value } = await new VaultStore(table).get(vault);
  refuseDeleting(value);
  const { subscriptionId, resourceGroup, vaultName } = value;
  return { subscriptionId, resourceGroup, vaultName };
}

/** @throws Conflict while the vault is being deleted. */
export function refuseDeleting(vault: Vault): void {
  if (vault.deleting !== true) return;
  throw new DomainError({
    code: 'Conflict',
    message: `The vault '${vault.vaultName}' is being deleted.`,
    recommendedAction: 'Wait until it is gone; delete it again should that not happen.',
  });
}

function vaultNotFound(vault: VaultRef): DomainError {
  return new DomainError({
    code: 'ResourceNotFound',
    message: `The vault '${vault.vaultName}' under resource group '${vault.resourceGroup}' was not found.`,
    target: vaultIdOf(vault),
  });
}
