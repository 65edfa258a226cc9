import { z } from 'zod';
import { type VaultRef, sameName } from '../arm/resource-id.ts';
import { type ArmResource, armResource } from '../arm/resource.ts';
import { DomainError } from '../fault.ts';
import { type RowKey, rowKey, vaultPartition } from '../store/row-key.ts';
import { Rows, notFound } from '../store/rows.ts';
import { type Table } from '../store/table.ts';

/** Body of PUT replicationVaultSettings/default. */
export const VaultSettingRequest = z.object({
  properties: z.object({
    migrationSolutionId: z.string().max(1_000).nullish(),
    vmwareToAzureProviderType: z.string().max(50).nullish(),
  }),
});

const VaultSetting = z.object({ migrationSolutionId: z.string().nullable() });

/** The one setting of a vault. */
const settingName = 'default';
/** Site Recovery's word for classic configuration servers, the only kind here. */
const classic = 'Vmware';

/** @throws ResourceNotFound for any other name than `default`. */
export async function getVaultSetting(
  table: Table,
  vault: VaultRef,
  name: string,
): Promise<ArmResource<object>> {
  checkName(name);
  const row = await new Rows(table, VaultSetting).find(settingKey(vault));
  return answerOf(vault, row?.value ?? { migrationSolutionId: null });
}

/** Makes or changes the setting. @throws NotSupported for another provider than the classic one. */
export async function putVaultSetting(
  table: Table,
  vault: VaultRef,
  change: { name: string; request: z.infer<typeof VaultSettingRequest> },
): Promise<ArmResource<object>> {
  checkName(change.name);
  const { migrationSolutionId, vmwareToAzureProviderType } = change.request.properties;
  const wanted = vmwareToAzureProviderType ?? classic;
  if (!sameName(wanted, classic)) {
    throw new DomainError({
      code: 'NotSupported',
      message: `'${wanted}' is not a provider of this vault.`,
      target: 'properties.vmwareToAzureProviderType',
      recommendedAction: `Use '${classic}': configuration servers as of the classic architecture.`,
    });
  }
  const value = { migrationSolutionId: migrationSolutionId ?? null };
  await new Rows(table, VaultSetting).upsert(settingKey(vault), value);
  return answerOf(vault, value);
}

function checkName(name: string): void {
  if (!sameName(name, settingName)) throw notFound(`The vault setting '${name.slice(0, 100)}'`);
}

function answerOf(vault: VaultRef, setting: z.infer<typeof VaultSetting>): ArmResource<object> {
  return armResource(vault, [['replicationVaultSettings', settingName]], {
    migrationSolutionId: setting.migrationSolutionId,
    vmwareToAzureProviderType: classic,
  });
}

function settingKey(vault: VaultRef): RowKey {
  return rowKey(vaultPartition(vault), 'replicationvaultsettings', settingName);
}
