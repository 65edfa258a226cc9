import { type Row } from '../../shared/store/rows.ts';
import { type Vault, VaultStore } from '../../shared/vault/vault.ts';
import { vaultAnswer } from '../../shared/vault/vault-answer.ts';
import {
  VaultPatch,
  VaultRequest,
  deleteVault,
  patchVault,
  putVault,
} from '../../shared/vault/vault-lifecycle.ts';
import { conditionsOf } from '../edge/conditions.ts';
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
  return answerOf(200, await vaults().get(vaultOf(call.params)));
});

httpOperation('putVault', { method: 'PUT', route: vaultRoute }, async (call) => {
  const request = await call.json(VaultRequest);
  const conditions = conditionsOf(call.headers);
  const { created, row } = await putVault(vaults(), vaultOf(call.params), { request, conditions });
  return answerOf(created ? 201 : 200, row);
});

httpOperation('patchVault', { method: 'PATCH', route: vaultRoute }, async (call) => {
  const patch = await call.json(VaultPatch);
  const conditions = conditionsOf(call.headers);
  return answerOf(200, await patchVault(vaults(), vaultOf(call.params), { patch, conditions }));
});

httpOperation('deleteVault', { method: 'DELETE', route: vaultRoute }, async (call) => {
  const outcome = await deleteVault(services().table, vaultOf(call.params), conditionsOf(call.headers));
  return { status: outcome === 'deleted' ? 200 : 204 };
});

function answerOf(status: number, row: Row<Vault>) {
  return { status, headers: { etag: row.etag }, body: vaultAnswer(row) };
}

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
