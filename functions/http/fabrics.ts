/** Fabrics, providers and protection containers: three views of the vault's appliances. */
import { type VaultRef, sameName } from '../../shared/arm/resource-id.ts';
import { type ArmResource } from '../../shared/arm/resource.ts';
import { fabricPath, getContainer, listAppliances } from '../../shared/fabric/appliance.ts';
import { viewAppliance } from '../../shared/fabric/appliance-view.ts';
import {
  type ApplianceView,
  containerAnswer,
  fabricAnswer,
  providerAnswer,
} from '../../shared/fabric/fabric-answer.ts';
import { notFound } from '../../shared/store/rows.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { parseFilter } from '../edge/filter.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { containerRoute, fabricRoute, vaultRoute } from '../edge/route.ts';
import { startJob } from '../edge/start-job.ts';
import { services } from '../services.ts';
import { fabricOf } from './fabric-of.ts';
import { operationResults } from './operation-results.ts';

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
  const filter = parseFilter(call.query.get('$filter'), ['friendlyName', 'health']);
  const { vault, appliance } = await fabricOf(call.params);
  const body = fabricAnswer(await viewAppliance(services().table, vault, appliance));
  const { friendlyName, health } = body.properties;
  const has: Record<string, string> = { friendlyname: friendlyName, health };
  const fits = [...filter].every(([field, wanted]) => sameName(has[field] ?? '', wanted));
  if (!fits) throw notFound(`The fabric '${call.params.fabricName}' that fits the $filter`);
  return { status: 200, body };
});

/** What can go apart is compared and brought together: the server's queue, its vCenters, its machines. */
httpOperation(
  'checkFabricConsistency',
  { method: 'POST', route: `${fabricRoute}/checkConsistency`, durable: true },
  async (call) => {
    const { vault, appliance } = await fabricOf(call.params);
    const { applianceId, machine } = appliance;
    await services().commandQueues.ensure(applianceId);
    return startJob(call, {
      vault,
      orchestration: 'refreshFabric',
      scenario: 'RefreshFabricLayout',
      target: { id: applianceId, name: machine.hostName },
      resource: fabricPath(applianceId),
      input: { applianceId },
    });
  },
);

operationResults('getFabricOperationResults', fabricRoute, async (params) => {
  const { vault, appliance } = await fabricOf(params);
  return fabricAnswer(await viewAppliance(services().table, vault, appliance));
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
