/** A vault's extended information: a key that clients make, keep here, and sign vault credentials with. */
import { z } from 'zod';
import { type VaultRef, vaultIdOf } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { type Conditions, checkConditions } from '../store/conditions.ts';
import { type RowKey, rowKey, vaultPartition } from '../store/row-key.ts';
import { type Row, Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { openText, sealText } from './seal-text.ts';
import { type VaultKey } from './vault-key.ts';

const text = z.string().max(4_000).nullish();

/** Body of PUT and PATCH. */
export const ExtendedInfoRequest = z.object({
  properties: z
    .object({ integrityKey: text, encryptionKey: text, encryptionKeyThumbprint: text, algorithm: text })
    .nullish(),
});
type ExtendedInfo = NonNullable<z.infer<typeof ExtendedInfoRequest>['properties']>;

/** The keys in it are secrets: the row has them sealed. */
const KeptExtendedInfo = z.object({ sealed: z.string() });

type Services = { table: Table; vaultKey: VaultKey };

/** @throws ResourceNotFound under the code that clients wait for before they make one. */
export async function getExtendedInfo(services: Services, vault: VaultRef) {
  const row = await new Rows(services.table, KeptExtendedInfo).find(infoKey(vault));
  if (row === undefined) {
    throw new DomainError({
      code: 'ResourceNotFound',
      armCode: 'ResourceExtendedInfoNotFound',
      message: `The vault '${vault.vaultName}' has no extended information yet.`,
      target: vaultIdOf(vault),
      recommendedAction: 'PUT it to make it.',
    });
  }
  return answerOf(vault, opened(services, vault, row));
}

/** Replaces it (PUT), or sets what is given (PATCH). @throws PreconditionFailed */
export async function putExtendedInfo(
  services: Services,
  vault: VaultRef,
  change: { given: ExtendedInfo; replaces: boolean; conditions: Conditions },
) {
  const rows = new Rows(services.table, KeptExtendedInfo);
  const row = await rows.find(infoKey(vault));
  checkConditions(change.conditions, row?.etag);
  const before = row === undefined || change.replaces ? {} : opened(services, vault, row).value;
  const value = { ...before, ...change.given };
  const kept = { sealed: sealText(JSON.stringify(value), placeOf(services, vault)) };
  const written = await (row === undefined
    ? rows.insert(infoKey(vault), kept)
    : rows.replace(infoKey(vault), kept, row.etag));
  return answerOf(vault, { value, etag: written.etag });
}

function opened(
  services: Services,
  vault: VaultRef,
  row: Row<z.infer<typeof KeptExtendedInfo>>,
): Row<ExtendedInfo> {
  return { value: JSON.parse(openText(row.value.sealed, placeOf(services, vault))), etag: row.etag };
}

function placeOf({ vaultKey }: Services, vault: VaultRef) {
  return {
    wrapping: vaultKey.wrapping,
    purpose: `extended information of ${vaultIdOf(vault).toLowerCase()}`,
  };
}

function answerOf(vault: VaultRef, { value, etag }: Row<ExtendedInfo>) {
  return {
    id: `${vaultIdOf(vault)}/extendedInformation/vaultExtendedInfo`,
    name: 'vaultExtendedInfo',
    type: 'Microsoft.RecoveryServices/vaults/extendedInformation',
    etag,
    properties: {
      integrityKey: value.integrityKey ?? null,
      encryptionKey: value.encryptionKey ?? null,
      encryptionKeyThumbprint: value.encryptionKeyThumbprint ?? null,
      algorithm: value.algorithm ?? 'None',
    },
  };
}

function infoKey(vault: VaultRef): RowKey {
  return rowKey(vaultPartition(vault), 'extendedinformation', 'vaultextendedinfo');
}
