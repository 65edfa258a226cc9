/** Whom a vault tells of what happens to it: by e-mail, under Site Recovery's one alert setting. */
import { z } from 'zod';
import { type VaultRef, sameName } from '../arm/resource-id.ts';
import { type ArmResource, armResource } from '../arm/resource.ts';
import { type RowKey, rowKey, vaultPartition } from '../store/row-key.ts';
import { Rows, notFound } from '../store/rows.ts';
import { type Table } from '../store/table.ts';

/** The only name an alert setting has. */
const settingName = 'defaultAlertSetting';
const mostAddresses = 20;

/** Body of PUT. */
export const AlertSettingRequest = z.object({
  properties: z.object({
    sendToOwners: z.enum(['Send', 'DoNotSend'], 'must be Send or DoNotSend').nullish(),
    customEmailAddresses: z.array(z.email('is not an e-mail address')).max(mostAddresses).nullish(),
    locale: z.string().max(35).nullish(),
  }),
});

export const AlertSetting = z.object({
  sendToOwners: z.enum(['Send', 'DoNotSend']),
  customEmailAddresses: z.array(z.string()),
  /** Language of the mails, as a language tag; empty: English. */
  locale: z.string(),
});
export type AlertSetting = z.infer<typeof AlertSetting>;

/** What holds before anybody has set anything: nobody is told. */
const initial: AlertSetting = { sendToOwners: 'DoNotSend', customEmailAddresses: [], locale: '' };

/** The vault's alert setting. */
export async function readAlertSetting(table: Table, vault: VaultRef): Promise<AlertSetting> {
  return (await new Rows(table, AlertSetting).find(settingKey(vault)))?.value ?? initial;
}

/** Replaces the setting; what is absent is as before anybody set anything. @throws ResourceNotFound for another name. */
export async function putAlertSetting(
  table: Table,
  vault: VaultRef,
  change: { name: string; request: z.infer<typeof AlertSettingRequest> },
): Promise<ArmResource<object>> {
  checkAlertSettingName(change.name);
  const { sendToOwners, customEmailAddresses, locale } = change.request.properties;
  const setting: AlertSetting = {
    sendToOwners: sendToOwners ?? initial.sendToOwners,
    customEmailAddresses: [...new Set(customEmailAddresses ?? [])],
    locale: locale ?? initial.locale,
  };
  await new Rows(table, AlertSetting).upsert(settingKey(vault), setting);
  return alertSettingAnswer(vault, setting);
}

/** @throws ResourceNotFound */
export function checkAlertSettingName(name: string): void {
  if (!sameName(name, settingName)) throw notFound(`The alert setting '${name.slice(0, 100)}'`);
}

export function alertSettingAnswer(vault: VaultRef, setting: AlertSetting): ArmResource<object> {
  return armResource(vault, [['replicationAlertSettings', settingName]], setting);
}

function settingKey(vault: VaultRef): RowKey {
  return rowKey(vaultPartition(vault), 'replicationalertsettings', settingName);
}
