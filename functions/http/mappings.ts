/** Protection container mappings: policies associated with configuration servers. */
import { type z } from 'zod';
import { type VaultRef, childIdOf, namesInId } from '../../shared/arm/resource-id.ts';
import { checkResourceName } from '../../shared/arm/resource-name.ts';
import {
  containerPath,
  fabricNameOf,
  containerNameOf,
  getContainer,
  listAppliances,
} from '../../shared/fabric/appliance.ts';
import { type Mapping, directionOf, mappingAnswer, mappingPath } from '../../shared/policy/mapping.ts';
import { findMapping, getMapping, listMappings, planMapping } from '../../shared/policy/mapping-store.ts';
import { longestPolicyName } from '../../shared/policy/policy.ts';
import { findPolicy, getPolicy } from '../../shared/policy/policy-store.ts';
import { CreateMappingBody, RemoveMappingBody, UpdateMappingBody } from '../../shared/wire/arm-policy.ts';
import { type Call, httpOperation, vaultOf } from '../edge/http-edge.ts';
import { containerRoute, vaultRoute } from '../edge/route.ts';
import { type AssociatePolicyInput, associatePolicy } from '../orchestrations/associate-policy.ts';
import { type DissociatePolicyInput, dissociatePolicy } from '../orchestrations/change-policy.ts';
import { startJob } from '../edge/start-job.ts';
import { services } from '../services.ts';
import { operationResults } from './operation-results.ts';
import { requireVault } from '../../shared/vault/vault.ts';

const mappingsRoute = `${containerRoute}/replicationProtectionContainerMappings` as const;
const mappingRoute = `${mappingsRoute}/{mappingName}` as const;

type MappingNames = { fabricName: string; containerName: string; mappingName: string };

httpOperation(
  'listVaultMappings',
  { method: 'GET', route: `${vaultRoute}/replicationProtectionContainerMappings` },
  async (call) => {
    const vault = await requireVault(services().table, vaultOf(call.params));
    return { status: 200, body: await listAnswer(vault, await listMappings(services().table, vault)) };
  },
);

httpOperation('listContainerMappings', { method: 'GET', route: mappingsRoute }, async (call) => {
  const { table } = services();
  const vault = await requireVault(services().table, vaultOf(call.params));
  await getContainer(table, vault, call.params);
  return { status: 200, body: await listAnswer(vault, await listMappings(table, vault, call.params)) };
});

httpOperation('getMapping', { method: 'GET', route: mappingRoute }, async (call) => {
  return { status: 200, body: await answerOf(vaultOf(call.params), call.params) };
});

httpOperation('putMapping', { method: 'PUT', route: mappingRoute, durable: true }, async (call) => {
  const { table } = services();
  const vault = await requireVault(services().table, vaultOf(call.params));
  const appliance = await getContainer(table, vault, call.params);
  checkResourceName(call.params.mappingName, 'mappingName', longestPolicyName);
  const { properties } = await call.json(CreateMappingBody);
  const [policyName = ''] = namesInId(properties.policyId, {
    vault,
    types: ['replicationPolicies'],
    target: 'properties.policyId',
  });
  const policy = await getPolicy(table, vault, policyName);
  const containerId = childIdOf(vault, containerPath(appliance.applianceId));
  const mapping: Mapping = {
    name: call.params.mappingName,
    fabricName: fabricNameOf(appliance.applianceId),
    containerName: containerNameOf(appliance.applianceId),
    policyName: policy.name,
    direction: directionOf(policy, { id: properties.targetProtectionContainerId, containerId }),
    automatic: false,
    createdAtMs: Date.now(),
  };
  if ((await planMapping(table, vault, mapping)) === 'none') {
    return { status: 200, body: await answerOf(vault, call.params) };
  }
  return startJob(call, {
    vault,
    orchestration: associatePolicy,
    scenario: 'AssociateProtectionProfile',
    target: { id: policy.policyId, name: policy.name },
    resource: mappingPath(mapping),
    input: { mapping } satisfies z.infer<typeof AssociatePolicyInput>,
  });
});

/** A mapping of VMware has no settings of its own, so what may be asked for is there already. */
httpOperation('patchMapping', { method: 'PATCH', route: mappingRoute }, async (call) => {
  await call.json(UpdateMappingBody);
  return { status: 200, body: await answerOf(vaultOf(call.params), call.params) };
});

httpOperation(
  'removeMapping',
  { method: 'POST', route: `${mappingRoute}/remove`, durable: true },
  async (call) => {
    await call.json(RemoveMappingBody);
    const vault = await requireVault(services().table, vaultOf(call.params));
    const { mappingName: name, ...container } = namesOf(call.params);
    const mapping = await getMapping(services().table, vault, { ...container, name });
    return dissociate(call, { vault, mapping, force: false });
  },
);

httpOperation('purgeMapping', { method: 'DELETE', route: mappingRoute, durable: true }, async (call) => {
  const vault = await requireVault(services().table, vaultOf(call.params));
  const { mappingName: name, ...container } = namesOf(call.params);
  const mapping = await findMapping(services().table, vault, { ...container, name });
  if (mapping === undefined) return { status: 204 };
  return dissociate(call, { vault, mapping, force: true });
});

async function dissociate(
  call: Call<string>,
  { vault, mapping, force }: { vault: VaultRef; mapping: Mapping; force: boolean },
) {
  const { name, fabricName, containerName, policyName } = mapping;
  const policy = await findPolicy(services().table, vault, policyName);
  return startJob(call, {
    vault,
    orchestration: dissociatePolicy,
    scenario: 'DissociateProtectionProfile',
    target: { id: policy?.policyId ?? policyName, name: policyName },
    resource: mappingPath(mapping),
    input: { names: { fabricName, containerName, name }, force } satisfies z.infer<
      typeof DissociatePolicyInput
    >,
  });
}

function namesOf({ fabricName, containerName, mappingName }: MappingNames): MappingNames {
  return { fabricName, containerName, mappingName };
}

operationResults('getMappingOperationResults', mappingRoute, (params) => answerOf(vaultOf(params), params));

async function answerOf(vault: VaultRef, names: MappingNames) {
  const { table } = services();
  const mapping = await getMapping(table, vault, { ...names, name: names.mappingName });
  const { machine } = await getContainer(table, vault, mapping);
  return mappingAnswer(vault, mapping, machine.hostName);
}

async function listAnswer(vault: VaultRef, mappings: readonly Mapping[]) {
  const appliances = await listAppliances(services().table, vault);
  const serverNames = new Map(appliances.map((one) => [fabricNameOf(one.applianceId), one.machine.hostName]));
  const value = mappings.map((mapping) =>
    mappingAnswer(vault, mapping, serverNames.get(mapping.fabricName) ?? mapping.fabricName),
  );
  return { value, nextLink: null };
}
