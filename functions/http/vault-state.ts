/** How a vault is doing and how it is set up: usages, health, settings. */
import { VaultSettingRequest, getVaultSetting, putVaultSetting } from '../../shared/vault/vault-setting.ts';
import { replicationUsages, vaultHealthAnswer, vaultUsages } from '../../shared/vault/vault-summary.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { vaultRoute } from '../edge/route.ts';
import { services } from '../services.ts';

const settingsRoute = `${vaultRoute}/replicationVaultSettings` as const;
const healthRoute = `${vaultRoute}/replicationVaultHealth` as const;

httpOperation('listUsages', { method: 'GET', route: `${vaultRoute}/usages` }, async (call) => {
  const vault = await requireVault(services().table, vaultOf(call.params));
  return { status: 200, body: { value: await vaultUsages(services().table, vault), nextLink: null } };
});

httpOperation(
  'listReplicationUsages',
  { method: 'GET', route: `${vaultRoute}/replicationUsages` },
  async (call) => {
    const vault = await requireVault(services().table, vaultOf(call.params));
    const value = await replicationUsages(services().table, vault, Date.now());
    return { status: 200, body: { value, nextLink: null } };
  },
);

httpOperation('getVaultHealth', { method: 'GET', route: healthRoute }, async (call) => {
  const vault = await requireVault(services().table, vaultOf(call.params));
  return { status: 200, body: await vaultHealthAnswer(services().table, vault) };
});

/** Health is put together anew whenever it is asked for, so a refresh is done at once. */
httpOperation(
  'refreshVaultHealth',
  { method: 'POST', route: `${healthRoute}/default/refresh` },
  async (call) => {
    const vault = await requireVault(services().table, vaultOf(call.params));
    return { status: 200, body: await vaultHealthAnswer(services().table, vault) };
  },
);

httpOperation('listVaultSettings', { method: 'GET', route: settingsRoute }, async (call) => {
  const vault = await requireVault(services().table, vaultOf(call.params));
  const value = [await getVaultSetting(services().table, vault, 'default')];
  return { status: 200, body: { value, nextLink: null } };
});

httpOperation(
  'getVaultSetting',
  { method: 'GET', route: `${settingsRoute}/{vaultSettingName}` },
  async (call) => {
    const vault = await requireVault(services().table, vaultOf(call.params));
    return {
      status: 200,
      body: await getVaultSetting(services().table, vault, call.params.vaultSettingName),
    };
  },
);

httpOperation(
  'putVaultSetting',
  { method: 'PUT', route: `${settingsRoute}/{vaultSettingName}` },
  async (call) => {
    const request = await call.json(VaultSettingRequest);
    const vault = await requireVault(services().table, vaultOf(call.params));
    const name = call.params.vaultSettingName;
    return { status: 200, body: await putVaultSetting(services().table, vault, { name, request }) };
  },
);
