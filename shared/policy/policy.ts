import { z } from 'zod';
import { armResource } from '../arm/resource.ts';
import { type ChildPath, type VaultRef, sameName } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { type PolicyChange, type PolicyInput } from '../wire/arm-policy.ts';
import { type PointSchedule } from '../wire/command.ts';

/** A replication policy as it lies in its row. */
export const Policy = z.object({
  name: z.string(),
  /** GUID by which jobs name it. */
  policyId: z.uuid(),
  instanceType: z.enum(['InMageAzureV2', 'InMage']),
  recoveryPointThresholdInMinutes: z.number(),
  recoveryPointHistory: z.number(),
  /** Failback policies have none. */
  crashConsistentFrequencyInMinutes: z.number().optional(),
  appConsistentFrequencyInMinutes: z.number(),
  multiVmSyncStatus: z.enum(['Enabled', 'Disabled']),
  /** Made by us as the failback twin of another; who creates it himself takes it over. */
  automatic: z.boolean(),
  createdAtMs: z.number(),
  /** Somebody deletes it: nobody may begin to use it any more. */
  removing: z.boolean().optional(),
});
export type Policy = z.infer<typeof Policy>;

const twinSuffix = '-failback';
/** So that the twin's name fits too. */
export const longestPolicyName = 150 - twinSuffix.length;

/** A policy as the caller asked for it. */
export function newPolicy(
  name: string,
  input: PolicyInput,
  made: { policyId: string; atMs: number },
): Policy {
  return {
    name,
    policyId: made.policyId,
    instanceType: input.instanceType,
    recoveryPointThresholdInMinutes: input.recoveryPointThresholdInMinutes,
    recoveryPointHistory: input.recoveryPointHistory,
    ...(input.instanceType === 'InMageAzureV2' && {
      crashConsistentFrequencyInMinutes: input.crashConsistentFrequencyInMinutes,
    }),
    appConsistentFrequencyInMinutes: input.appConsistentFrequencyInMinutes,
    multiVmSyncStatus: input.multiVmSyncStatus === 'Enable' ? 'Enabled' : 'Disabled',
    automatic: false,
    createdAtMs: made.atMs,
  };
}

/** Name of the policy by which machines protected under `name` come back. */
export function twinNameOf(name: string): string {
  return `${name}${twinSuffix}`;
}

/** The failback twin of a VMware to Azure policy; others have none. */
export function twinOf(policy: Policy, policyId: string): Policy | undefined {
  if (policy.instanceType !== 'InMageAzureV2') return undefined;
  const { crashConsistentFrequencyInMinutes: _, ...rest } = policy;
  return { ...rest, name: twinNameOf(policy.name), policyId, instanceType: 'InMage', automatic: true };
}

/** Whether two policies ask for the same. */
export function samePolicy(left: Policy, right: Policy): boolean {
  const asked = ({ policyId: _i, automatic: _a, createdAtMs: _c, removing: _r, ...rest }: Policy) =>
    JSON.stringify(rest);
  return sameName(left.name, right.name) && asked({ ...left, name: '' }) === asked({ ...right, name: '' });
}

/**
 * What creating `wanted` means where `existing` may be there already: `create`, or `none` when it is there as wanted.
 * @throws Conflict when another one has the name.
 */
export function planPolicy(wanted: Policy, existing: Policy | undefined): 'create' | 'none' {
  if (existing === undefined) return 'create';
  if (existing.removing === true) throw beingDeleted(existing);
  if (samePolicy(wanted, existing)) return existing.automatic && !wanted.automatic ? 'create' : 'none';
  if (existing.automatic && existing.instanceType === wanted.instanceType) return 'create';
  throw new DomainError({
    code: 'Conflict',
    message: `The replication policy '${existing.name}' exists already, with other settings.`,
    target: existing.name,
    recommendedAction: 'Choose another name, or update the existing policy.',
  });
}

/**
 * A policy with what a request changes in it; the same object when it changes nothing.
 * @throws InvalidRequest when the request is for a policy of the other kind, Conflict while it is being deleted.
 */
export function changedPolicy(policy: Policy, change: PolicyChange): Policy {
  if (policy.removing === true) throw beingDeleted(policy);
  if (change.instanceType !== policy.instanceType) {
    throw new DomainError({
      code: 'InvalidRequest',
      message: `The policy '${policy.name}' is of type ${policy.instanceType}, and stays so.`,
      target: 'properties.replicationProviderSettings.instanceType',
      recommendedAction: `Send instanceType '${policy.instanceType}', or create another policy.`,
    });
  }
  const { instanceType: _, multiVmSyncStatus, crashConsistentFrequencyInMinutes: crash, ...minutes } = change;
  const given = Object.fromEntries(Object.entries(minutes).filter(([, value]) => value !== undefined));
  const next: Policy = {
    ...policy,
    ...given,
    ...(crash !== undefined &&
      policy.instanceType === 'InMageAzureV2' && { crashConsistentFrequencyInMinutes: crash }),
    ...(multiVmSyncStatus !== undefined && {
      multiVmSyncStatus: multiVmSyncStatus === 'Enable' ? 'Enabled' : 'Disabled',
    }),
  };
  return samePolicy(policy, next) ? policy : next;
}

/** @returns Conflict: the policy is about to go. */
export function beingDeleted(policy: Policy): DomainError {
  return new DomainError({
    code: 'Conflict',
    message: `The replication policy '${policy.name}' is being deleted.`,
    target: policy.name,
    recommendedAction: 'Wait until it is gone, then create it anew; or use another policy.',
  });
}

/** How often the appliance makes points under a policy. */
export function scheduleOf(policy: Policy): PointSchedule {
  return {
    crashConsistentMinutes: policy.crashConsistentFrequencyInMinutes ?? 0,
    appConsistentMinutes: policy.appConsistentFrequencyInMinutes,
  };
}

export function policyPath(name: string): ChildPath {
  return [['replicationPolicies', name]];
}

/** A policy as ARM answers it. */
export function policyAnswer(vault: VaultRef, policy: Policy) {
  return armResource(vault, policyPath(policy.name), {
    friendlyName: policy.name,
    providerSpecificDetails: {
      instanceType: policy.instanceType,
      ...(policy.crashConsistentFrequencyInMinutes !== undefined && {
        crashConsistentFrequencyInMinutes: policy.crashConsistentFrequencyInMinutes,
      }),
      recoveryPointThresholdInMinutes: policy.recoveryPointThresholdInMinutes,
      recoveryPointHistory: policy.recoveryPointHistory,
      appConsistentFrequencyInMinutes: policy.appConsistentFrequencyInMinutes,
      multiVmSyncStatus: policy.multiVmSyncStatus,
    },
  });
}
