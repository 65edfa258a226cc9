import {
  AlertSettingRequest,
  alertSettingAnswer,
  checkAlertSettingName,
  putAlertSetting,
  readAlertSetting,
} from '../../shared/alert/alert-setting.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { vaultRoute } from '../edge/route.ts';
import { services } from '../services.ts';

const listRoute = `${vaultRoute}/replicationAlertSettings` as const;
const settingRoute = `${listRoute}/{alertSettingName}` as const;

httpOperation('listAlertSettings', { method: 'GET', route: listRoute }, async (call) => {
  const vault = await requireVault(services().table, vaultOf(call.params));
  const setting = await readAlertSetting(services().table, vault);
  return { status: 200, body: { value: [alertSettingAnswer(vault, setting)], nextLink: null } };
});

httpOperation('getAlertSetting', { method: 'GET', route: settingRoute }, async (call) => {
  checkAlertSettingName(call.params.alertSettingName);
  const vault = await requireVault(services().table, vaultOf(call.params));
  return { status: 200, body: alertSettingAnswer(vault, await readAlertSetting(services().table, vault)) };
});

httpOperation('putAlertSetting', { method: 'PUT', route: settingRoute }, async (call) => {
  const request = await call.json(AlertSettingRequest);
  const vault = await requireVault(services().table, vaultOf(call.params));
  const name = call.params.alertSettingName;
  return { status: 200, body: await putAlertSetting(services().table, vault, { name, request }) };
});
