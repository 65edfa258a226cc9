import { VaultStore } from '../../shared/vault/vault.ts';
import { vaultAnswer } from '../../shared/vault/vault-answer.ts';
import {
  VaultPatch,
  VaultRequest,
  deleteVault,
  patchVault,
  putVault,
} from '../../shared/vault/vault-lifecycle.ts';
import { type Call, httpOperation, vaultOf } from '../edge/http-edge.ts';
import { nextLinkOf, skipTokenOf } from '../edge/next-link.ts';
import { vaultRoute } from '../edge/route.ts';
import { services } from '../services.ts';

const provider = 'providers/Microsoft.RecoveryServices';

httpOperation(
  'listVaultsInSubscription',
  {
    method: 'GET',
    route: `subscriptions/{subscriptionId}/${provider}/vaults`,
  },
  (call) => listVaults(call, { subscriptionId: call.params.subscriptionId }),
);

httpOperation(
  'listVaultsInResourceGroup',
  {
    method: 'GET',
    route: `subscriptions/{subscriptionId}/resourceGroups/{resourceGroup}/${provider}/vaults`,
  },
  (call) =>
    listVaults(call, {
      subscriptionId: call.params.subscriptionId,
      resourceGroup: call.params.resourceGroup,
    }),
);

httpOperation('getVault', { method: 'GET', route: vaultRoute }, async (call) => {
  return { status: 200, body: vaultAnswer(await vaults().get(vaultOf(call.params))) };
});

httpOperation('putVault', { method: 'PUT', route: vaultRoute }, async (call) => {
  const request = await call.json(VaultRequest);
  const { created, row } = await putVault(vaults(), vaultOf(call.params), request);
  return { status: created ? 201 : 200, body: vaultAnswer(row) };
});

httpOperation('patchVault', { method: 'PATCH', route: vaultRoute }, async (call) => {
  const patch = await call.json(VaultPatch);
  return { status: 200, body: vaultAnswer(await patchVault(vaults(), vaultOf(call.params), patch)) };
});

httpOperation('deleteVault', { method: 'DELETE', route: vaultRoute }, async (call) => {
  const outcome = await deleteVault(services().table, vaultOf(call.params));
  return { status: outcome === 'deleted' ? 200 : 204 };
});

async function listVaults(
  call: Pick<Call<string>, 'url' | 'query'>,
  where: { subscriptionId: string; resourceGroup?: string },
): Promise<{ status: number; body: unknown }> {
  const { rows, continuation } = await vaults().page(where, skipTokenOf(call.query));
  return {
    status: 200,
    body: { value: rows.map(vaultAnswer), nextLink: nextLinkOf(call.url, continuation) },
  };
}

function vaults(): VaultStore {
  return new VaultStore(services().table);
}
