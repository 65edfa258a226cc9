import { providerPath } from '../../shared/fabric/appliance.ts';
import { viewAppliance } from '../../shared/fabric/appliance-view.ts';
import { providerAnswer } from '../../shared/fabric/fabric-answer.ts';
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { httpOperation } from '../edge/http-edge.ts';
import { fabricRoute } from '../edge/route.ts';
import { startJob } from '../edge/start-job.ts';
import { services } from '../services.ts';
import { checkProvider, fabricOf } from './fabric-of.ts';
import { operationResults } from './operation-results.ts';

const listRoute = `${fabricRoute}/replicationRecoveryServicesProviders` as const;
const providerRoute = `${listRoute}/{providerName}` as const;

httpOperation('listFabricProviders', { method: 'GET', route: listRoute }, async (call) => {
  const { vault, appliance } = await fabricOf(call.params);
  const provider = providerAnswer(await viewAppliance(services().table, vault, appliance));
  return { status: 200, body: { value: [provider], nextLink: null } };
});

httpOperation('getProvider', { method: 'GET', route: providerRoute }, async (call) => {
  return { status: 200, body: await answerProvider(call.params) };
});

httpOperation(
  'refreshProvider',
  { method: 'POST', route: `${providerRoute}/refreshProvider`, durable: true },
  async (call) => {
    const { vault, appliance } = await fabricOf(call.params);
    checkProvider(appliance, call.params.providerName);
    const { applianceId, machine } = appliance;
    return startJob(call, {
      vault,
      orchestration: 'refreshFabric',
      scenario: 'RefreshFabricLayout',
      target: { id: applianceId, name: machine.hostName },
      resource: providerPath(applianceId),
      input: { applianceId },
    });
  },
);

operationResults('getProviderOperationResults', providerRoute, answerProvider);

async function answerProvider(params: VaultRef & { fabricName: string; providerName: string }) {
  const { vault, appliance } = await fabricOf(params);
  checkProvider(appliance, params.providerName);
  return providerAnswer(await viewAppliance(services().table, vault, appliance));
}
