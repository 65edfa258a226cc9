import { randomUUID } from 'node:crypto';
import { type z } from 'zod';
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { checkResourceName } from '../../shared/arm/resource-name.ts';
import { findPolicy, getPolicy, listPolicies } from '../../shared/policy/policy-store.ts';
import {
  type Policy,
  changedPolicy,
  longestPolicyName,
  newPolicy,
  planPolicy,
  policyAnswer,
  policyPath,
} from '../../shared/policy/policy.ts';
import { CreatePolicyBody, UpdatePolicyBody } from '../../shared/wire/arm-policy.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { vaultRoute } from '../edge/route.ts';
import {
  type ModifyPolicyInput,
  type RemovePolicyInput,
  modifyPolicy,
  removePolicy,
} from '../orchestrations/change-policy.ts';
import { type CreatePolicyInput, createPolicy } from '../orchestrations/create-policy.ts';
import { startJob } from '../edge/start-job.ts';
import { services } from '../services.ts';
import { operationResults } from './operation-results.ts';
import { requireVault } from '../../shared/vault/vault.ts';

const policyRoute = `${vaultRoute}/replicationPolicies/{policyName}` as const;

httpOperation('listPolicies', { method: 'GET', route: `${vaultRoute}/replicationPolicies` }, async (call) => {
  const vault = await requireVault(services().table, vaultOf(call.params));
  const policies = await listPolicies(services().table, vault);
  return {
    status: 200,
    body: { value: policies.map((policy) => policyAnswer(vault, policy)), nextLink: null },
  };
});

httpOperation('getPolicy', { method: 'GET', route: policyRoute }, async (call) => {
  const vault = vaultOf(call.params);
  const policy = await getPolicy(services().table, vault, call.params.policyName);
  return { status: 200, body: policyAnswer(vault, policy) };
});

httpOperation('putPolicy', { method: 'PUT', route: policyRoute, durable: true }, async (call) => {
  const vault = await requireVault(services().table, vaultOf(call.params));
  checkResourceName(call.params.policyName, 'policyName', longestPolicyName);
  const { properties } = await call.json(CreatePolicyBody);
  const made = { policyId: randomUUID(), atMs: Date.now() };
  const policy = newPolicy(call.params.policyName, properties.providerSpecificInput, made);
  const existing = await findPolicy(services().table, vault, policy.name);
  if (existing !== undefined && planPolicy(policy, existing) === 'none') {
    return { status: 200, body: policyAnswer(vault, existing) };
  }
  return startJob(call, {
    ...jobOf(vault, policy),
    orchestration: createPolicy,
    scenario: 'AddProtectionProfile',
    input: { policy, twinId: randomUUID() } satisfies z.infer<typeof CreatePolicyInput>,
  });
});

httpOperation('patchPolicy', { method: 'PATCH', route: policyRoute, durable: true }, async (call) => {
  const vault = await requireVault(services().table, vaultOf(call.params));
  const policy = await getPolicy(services().table, vault, call.params.policyName);
  const { properties } = await call.json(UpdatePolicyBody);
  const change = properties.replicationProviderSettings;
  if (changedPolicy(policy, change) === policy) return { status: 200, body: policyAnswer(vault, policy) };
  return startJob(call, {
    ...jobOf(vault, policy),
    orchestration: modifyPolicy,
    scenario: 'ModifyProtectionProfile',
    input: { name: policy.name, change } satisfies z.infer<typeof ModifyPolicyInput>,
  });
});

httpOperation('deletePolicy', { method: 'DELETE', route: policyRoute, durable: true }, async (call) => {
  const vault = await requireVault(services().table, vaultOf(call.params));
  const policy = await findPolicy(services().table, vault, call.params.policyName);
  if (policy === undefined) return { status: 204 };
  return startJob(call, {
    ...jobOf(vault, policy),
    orchestration: removePolicy,
    scenario: 'RemoveProtectionProfile',
    input: { name: policy.name } satisfies z.infer<typeof RemovePolicyInput>,
  });
});

function jobOf(vault: VaultRef, policy: Policy) {
  return { vault, target: { id: policy.policyId, name: policy.name }, resource: policyPath(policy.name) };
}

operationResults('getPolicyOperationResults', policyRoute, async (params) => {
  const vault = vaultOf(params);
  return policyAnswer(vault, await getPolicy(services().table, vault, params.policyName));
});
