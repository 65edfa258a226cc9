import { z } from 'zod';
import { type VaultRef, vaultIdOf } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { type Conditions, checkConditions } from '../store/conditions.ts';
import { rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type Row } from '../store/rows.ts';
import { type RowWrite, type Table, mostWritesAtOnce } from '../store/table.ts';
import { type Vault, VaultStore, refuseDeleting } from './vault.ts';
import { checkResourceGroupName, checkVaultName } from './vault-name.ts';

const Tags = z
  .record(z.string().min(1).max(512), z.string().max(256))
  .refine((tags) => Object.keys(tags).length <= 50, 'at most 50 tags are possible');

const Sku = z.object({
  name: z.enum(['Standard', 'RS0'], 'must be Standard or RS0'),
  tier: z.string().max(50).optional(),
});

/** Body of a vault's PUT. Fields of services other than Site Recovery are taken and left alone. */
export const VaultRequest = z.object({
  location: z.string().min(1).max(90),
  sku: Sku.optional(),
  tags: Tags.nullish(),
  properties: z.object({ publicNetworkAccess: z.enum(['Enabled', 'Disabled']).optional() }).nullish(),
});

/** Body of a vault's PATCH: what is absent stays. */
export const VaultPatch = z.object({
  sku: Sku.optional(),
  tags: Tags.nullish(),
  properties: z.object({ publicNetworkAccess: z.enum(['Enabled', 'Disabled']).optional() }).nullish(),
});

/**
 * Makes a vault, or gives the one that is there the request's tags and sku. Sending it again changes nothing.
 * @throws InvalidRequest for names, Conflict when the vault lies in another location, PreconditionFailed.
 */
export async function putVault(
  store: VaultStore,
  vault: VaultRef,
  { request, conditions }: { request: z.infer<typeof VaultRequest>; conditions: Conditions },
): Promise<{ created: boolean; row: Row<Vault> }> {
  checkVaultName(vault.vaultName);
  checkResourceGroupName(vault.resourceGroup);
  const location = request.location.toLowerCase().replaceAll(' ', '');
  const known = await store.find(vault);
  checkConditions(conditions, known?.etag);
  if (known === undefined) {
    return { created: true, row: await store.insert(newVault(vault, location, request)) };
  }
  refuseDeleting(known.value);
  if (known.value.location !== location) {
    throw new DomainError({
      code: 'Conflict',
      armCode: 'InvalidResourceLocation',
      message: `The vault '${vault.vaultName}' exists already, in '${known.value.location}'; a vault does not move.`,
      target: 'location',
    });
  }
  return { created: false, row: await store.replace(changed(known.value, request, {}), known.etag) };
}

/** Changes tags and sku of a vault. @throws ResourceNotFound, PreconditionFailed */
export async function patchVault(
  store: VaultStore,
  vault: VaultRef,
  { patch, conditions }: { patch: z.infer<typeof VaultPatch>; conditions: Conditions },
): Promise<Row<Vault>> {
  const { value, etag } = await store.get(vault);
  checkConditions(conditions, etag);
  refuseDeleting(value);
  return store.replace(changed(value, patch, value.tags), etag);
}

/** What a person has to take away before the vault can go, and what it is called. In the order it has to go. */
const guardedKinds = {
  replicationProtectedItems: 'protected items',
  replicationRecoveryPlans: 'recovery plans',
  replicationProtectionContainerMappings: 'container mappings',
  replicationPolicies: 'policies',
  replicationvCenters: 'vCenter servers',
  replicationFabrics: 'configuration servers',
} as const;

/**
 * Deletes an empty vault, with the jobs and keys that remain of it. One that is not there is as good as deleted.
 * The vault is marked first, so that nothing is made in it while its rows go; repeating an interrupted delete ends it.
 * @throws ResourceNotEmpty, PreconditionFailed
 */
export async function deleteVault(
  table: Table,
  vault: VaultRef,
  conditions: Conditions,
): Promise<'deleted' | 'absent'> {
  const store = new VaultStore(table);
  const row = await store.find(vault);
  if (row !== undefined || conditions.ifMatch !== undefined) checkConditions(conditions, row?.etag);
  if (row === undefined) return 'absent';
  await refuseHolding(table, vault);
  const marked = await store.replace({ ...row.value, deleting: true }, row.etag);
  try {
    await refuseHolding(table, vault);
  } catch (error) {
    const { deleting: _, ...kept } = marked.value;
    await store.replace(kept, marked.etag);
    throw error;
  }
  await deleteRows(table, vault);
  await store.delete(vault);
  return 'deleted';
}

async function refuseHolding(table: Table, vault: VaultRef): Promise<void> {
  const held: string[] = [];
  for (const [kind, words] of Object.entries(guardedKinds)) {
    const { entities } = await table.page(rowsBelow(vaultPartition(vault), kind), { most: 1 });
    if (entities.length > 0) held.push(words);
  }
  if (held.length === 0) return;
  throw new DomainError({
    code: 'ResourceNotEmpty',
    armCode: 'ServiceResourceNotEmptyWithContainerDetails',
    message: `Vault cannot be deleted as there are existing resources within the vault. It still holds: ${held.join(', ')}.`,
    target: vaultIdOf(vault),
    recommendedAction: 'Remove them in this order, then delete the vault again.',
  });
}

async function deleteRows(table: Table, vault: VaultRef): Promise<void> {
  const partition = vaultPartition(vault);
  for (;;) {
    const { entities } = await table.page({ partition, from: '!', to: '~~~' }, { most: mostWritesAtOnce });
    if (entities.length === 0) return;
    const writes = entities.map(({ rowKey }): RowWrite => ({
      do: 'delete',
      key: { partition, row: rowKey },
    }));
    await table.transact(writes);
  }
}

function newVault(vault: VaultRef, location: string, request: z.infer<typeof VaultRequest>): Vault {
  return {
    subscriptionId: vault.subscriptionId,
    resourceGroup: vault.resourceGroup,
    vaultName: vault.vaultName,
    location,
    tags: request.tags ?? {},
    sku: skuOf(request.sku) ?? { name: 'Standard' },
    publicNetworkAccess: request.properties?.publicNetworkAccess ?? 'Enabled',
    createdAtMs: Date.now(),
  };
}

function changed(vault: Vault, change: z.infer<typeof VaultPatch>, tags: Vault['tags']): Vault {
  return {
    ...vault,
    tags: change.tags ?? tags,
    sku: skuOf(change.sku) ?? vault.sku,
    publicNetworkAccess: change.properties?.publicNetworkAccess ?? vault.publicNetworkAccess,
  };
}

function skuOf(sku: z.infer<typeof Sku> | undefined): Vault['sku'] | undefined {
  if (sku === undefined) return undefined;
  return { name: sku.name, ...(sku.tier !== undefined && { tier: sku.tier }) };
}
