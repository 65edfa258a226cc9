/** Fabrics, providers and protection containers: three views of the vault's appliances. */
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { type ArmResource } from '../../shared/arm/resource.ts';
import { getContainer, listAppliances } from '../../shared/fabric/appliance.ts';
import { viewAppliance } from '../../shared/fabric/appliance-view.ts';
import {
  type ApplianceView,
  containerAnswer,
  fabricAnswer,
  providerAnswer,
} from '../../shared/fabric/fabric-answer.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { containerRoute, fabricRoute, vaultRoute } from '../edge/route.ts';
import { services } from '../services.ts';
import { fabricOf } from './fabric-of.ts';

const providers = 'replicationRecoveryServicesProviders';
const containers = 'replicationProtectionContainers';

httpOperation('listFabrics', { method: 'GET', route: `${vaultRoute}/replicationFabrics` }, (call) =>
  answerAll(vaultOf(call.params), fabricAnswer),
);
httpOperation('listProviders', { method: 'GET', route: `${vaultRoute}/${providers}` }, (call) =>
  answerAll(vaultOf(call.params), providerAnswer),
);
httpOperation('listContainers', { method: 'GET', route: `${vaultRoute}/${containers}` }, (call) =>
  answerAll(vaultOf(call.params), containerAnswer),
);

httpOperation('getFabric', { method: 'GET', route: fabricRoute }, async (call) => {
  const { vault, appliance } = await fabricOf(call.params);
  return { status: 200, body: fabricAnswer(await viewAppliance(services().table, vault, appliance)) };
});

httpOperation(
  'listFabricContainers',
  { method: 'GET', route: `${fabricRoute}/${containers}` },
  async (call) => {
    const { vault, appliance } = await fabricOf(call.params);
    return page([containerAnswer(await viewAppliance(services().table, vault, appliance))]);
  },
);

httpOperation('getContainer', { method: 'GET', route: containerRoute }, async (call) => {
  const { table } = services();
  const vault = await requireVault(table, vaultOf(call.params));
  const appliance = await getContainer(table, vault, call.params);
  return { status: 200, body: containerAnswer(await viewAppliance(table, vault, appliance)) };
});

async function answerAll(named: VaultRef, answer: (view: ApplianceView) => ArmResource<object>) {
  const { table } = services();
  const vault = await requireVault(table, named);
  const appliances = await listAppliances(table, vault);
  return page(
    await Promise.all(
      appliances.map(async (appliance) => answer(await viewAppliance(table, vault, appliance))),
    ),
  );
}

function page(value: ArmResource<object>[]) {
  return { status: 200, body: { value, nextLink: null } };
}
