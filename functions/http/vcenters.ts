import { type z } from 'zod';
import { type VaultRef, sameName } from '../../shared/arm/resource-id.ts';
import { checkResourceName } from '../../shared/arm/resource-name.ts';
import { findDiscovery } from '../../shared/discovery/apply-discovery.ts';
import { type Appliance, fabricNameOf, listAppliances } from '../../shared/fabric/appliance.ts';
import { findHeartbeat } from '../../shared/fabric/heartbeat.ts';
import {
  type VCenter,
  VCenterPatch,
  VCenterRequest,
  findVCenter,
  getVCenter,
  listVCenters,
  vCenterAnswer,
  vCenterPath,
} from '../../shared/fabric/vcenter.ts';
import { DomainError } from '../../shared/fault.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { fabricRoute, vaultRoute } from '../edge/route.ts';
import {
  type DeleteVCenterInput,
  type UpdateVCenterInput,
  deleteVCenter,
  updateVCenter,
} from '../orchestrations/vcenter-jobs.ts';
import { startJob } from '../edge/start-job.ts';
import { services } from '../services.ts';
import { fabricOf } from './fabric-of.ts';
import { operationResults } from './operation-results.ts';

const listRoute = `${fabricRoute}/replicationvCenters` as const;
const vCenterRoute = `${listRoute}/{vCenterName}` as const;

httpOperation('listVCenters', { method: 'GET', route: `${vaultRoute}/replicationvCenters` }, async (call) => {
  const { table } = services();
  const vault = await requireVault(table, vaultOf(call.params));
  const appliances = await listAppliances(table, vault);
  const lists = await Promise.all(appliances.map((appliance) => answersOf(vault, appliance)));
  return { status: 200, body: { value: lists.flat(), nextLink: null } };
});

httpOperation('listFabricVCenters', { method: 'GET', route: listRoute }, async (call) => {
  const { vault, appliance } = await fabricOf(call.params);
  return { status: 200, body: { value: await answersOf(vault, appliance), nextLink: null } };
});

httpOperation('getVCenter', { method: 'GET', route: vCenterRoute }, async (call) => {
  return { status: 200, body: await answerVCenter(call.params) };
});

httpOperation('putVCenter', { method: 'PUT', route: vCenterRoute, durable: true }, async (call) => {
  const { properties } = await call.json(VCenterRequest);
  checkResourceName(call.params.vCenterName, 'vcenterName', 80);
  const { vault, appliance } = await fabricOf(call.params);
  const { applianceId } = appliance;
  checkProcessServer(applianceId, properties.processServerId);
  const vCenter: VCenter = {
    name: call.params.vCenterName,
    friendlyName: properties.friendlyName ?? call.params.vCenterName,
    address: properties.ipAddress,
    port: properties.port,
    accountId: properties.runAsAccountId,
    addedAtMs: Date.now(),
  };
  return startJob(call, {
    ...jobOf(appliance, vCenter),
    vault,
    orchestration: 'discoverVCenter',
    scenario: 'DiscoverVCenter',
    input: { applianceId, fabricName: fabricNameOf(applianceId), vCenter },
  });
});

/** The appliance connects with the changed data before anything is changed here. */
httpOperation('patchVCenter', { method: 'PATCH', route: vCenterRoute, durable: true }, async (call) => {
  const { properties } = await call.json(VCenterPatch);
  const { vault, appliance } = await fabricOf(call.params);
  const before = await getVCenter(services().table, vault, call.params);
  checkProcessServer(appliance.applianceId, properties.processServerId);
  const after: VCenter = {
    ...before,
    friendlyName: properties.friendlyName ?? before.friendlyName,
    address: properties.ipAddress ?? before.address,
    port: properties.port ?? before.port,
    accountId: properties.runAsAccountId ?? before.accountId,
  };
  return startJob(call, {
    ...jobOf(appliance, after),
    vault,
    orchestration: updateVCenter,
    scenario: 'UpdateVCenter',
    input: {
      applianceId: appliance.applianceId,
      fabricName: fabricNameOf(appliance.applianceId),
      before,
      after,
    } satisfies z.infer<typeof UpdateVCenterInput>,
  });
});

httpOperation('removeVCenter', { method: 'DELETE', route: vCenterRoute, durable: true }, async (call) => {
  const { vault, appliance } = await fabricOf(call.params);
  const vCenter = await findVCenter(services().table, vault, call.params);
  if (vCenter === undefined) return { status: 204 };
  return startJob(call, {
    ...jobOf(appliance, vCenter),
    vault,
    orchestration: deleteVCenter,
    scenario: 'DeleteVCenter',
    input: {
      applianceId: appliance.applianceId,
      fabricName: fabricNameOf(appliance.applianceId),
      vCenterName: vCenter.name,
    } satisfies z.infer<typeof DeleteVCenterInput>,
  });
});

operationResults('getVCenterOperationResults', vCenterRoute, answerVCenter);

/** What the jobs about a vCenter have in common. */
function jobOf({ applianceId, machine }: Appliance, vCenter: VCenter) {
  return {
    target: { id: vCenter.address, name: vCenter.friendlyName },
    resource: vCenterPath(applianceId, vCenter.name),
    affected: {
      primaryVmmId: applianceId,
      primaryVmmName: machine.hostName,
      primaryFabricProviderId: 'VMware',
    },
  };
}

async function answerVCenter(params: VaultRef & { fabricName: string; vCenterName: string }) {
  const { vault, appliance } = await fabricOf(params);
  const vCenter = await getVCenter(services().table, vault, params);
  return answerOf(vault, appliance, vCenter);
}

async function answersOf(vault: VaultRef, appliance: Appliance) {
  const vCenters = await listVCenters(services().table, vault, fabricNameOf(appliance.applianceId));
  return Promise.all(vCenters.map((vCenter) => answerOf(vault, appliance, vCenter)));
}

async function answerOf(vault: VaultRef, appliance: Appliance, vCenter: VCenter) {
  const { table } = services();
  const ref = { vault, applianceId: appliance.applianceId };
  const [heartbeat, discovery] = await Promise.all([
    findHeartbeat(table, ref),
    findDiscovery(table, ref, vCenter.name),
  ]);
  return vCenterAnswer({ vault, appliance, vCenter, heartbeat, discovery, nowMs: Date.now() });
}

function checkProcessServer(applianceId: string, processServerId: string | undefined): void {
  if (processServerId === undefined || sameName(processServerId, applianceId)) return;
  throw new DomainError({
    code: 'InvalidRequest',
    message: `The fabric has no process server '${processServerId}'.`,
    target: 'properties.processServerId',
    recommendedAction: `Use '${applianceId}', the process server of this configuration server.`,
  });
}
