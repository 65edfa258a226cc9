import { describe, expect, it } from 'vitest';
import { CreatePolicyBody } from '../wire/arm-policy.ts';
import { type Mapping, checkMappedOnce, directionOf, mappingAnswer } from './mapping.ts';
import { newPolicy, planPolicy, policyAnswer, twinOf } from './policy.ts';

const vault = { subscriptionId: 's', resourceGroup: 'g', vaultName: 'v' };
const made = { policyId: '4b9f8a3e-4a4f-4f0c-9d0c-0d6a2f4c7a11', atMs: 1 };
const twinId = '4b9f8a3e-4a4f-4f0c-9d0c-0d6a2f4c7a12';

function bodyOf(changes: Record<string, unknown>) {
  const providerSpecificInput = {
    instanceType: 'InMageAzureV2',
    recoveryPointThresholdInMinutes: 60,
    recoveryPointHistory: 4_320,
    crashConsistentFrequencyInMinutes: 5,
    appConsistentFrequencyInMinutes: 60,
    multiVmSyncStatus: 'Enable',
    ...changes,
  };
  return { properties: { providerSpecificInput } };
}

function policyOf(name: string, changes: Record<string, unknown> = {}) {
  const { properties } = CreatePolicyBody.parse(bodyOf(changes));
  return newPolicy(name, properties.providerSpecificInput, made);
}

const mapping: Mapping = {
  name: 'map',
  fabricName: 'f',
  containerName: 'cloud_1',
  policyName: 'gold',
  direction: 'toAzure',
  automatic: false,
  createdAtMs: 1,
};

describe('a replication policy', () => {
  it('reads back as the real service answers it', () => {
    expect(policyAnswer(vault, policyOf('gold'))).toEqual({
      id: '/Subscriptions/s/resourceGroups/g/providers/Microsoft.RecoveryServices/vaults/v/replicationPolicies/gold',
      name: 'gold',
      type: 'Microsoft.RecoveryServices/vaults/replicationPolicies',
      properties: {
        friendlyName: 'gold',
        providerSpecificDetails: {
          instanceType: 'InMageAzureV2',
          crashConsistentFrequencyInMinutes: 5,
          recoveryPointThresholdInMinutes: 60,
          recoveryPointHistory: 4_320,
          appConsistentFrequencyInMinutes: 60,
          multiVmSyncStatus: 'Enabled',
        },
      },
    });
  });

  it('has a failback twin of the same figures, without crash-consistent points', () => {
    const twin = twinOf(policyOf('gold'), twinId);
    expect(twin).toMatchObject({ name: 'gold-failback', instanceType: 'InMage', automatic: true });
    expect(twin?.crashConsistentFrequencyInMinutes).toBeUndefined();
    expect(twinOf(policyOf('back', { instanceType: 'InMage' }), twinId)).toBeUndefined();
  });

  it.each([
    ['a threshold of no minutes', { recoveryPointThresholdInMinutes: 0 }],
    ['a retention beyond 15 days', { recoveryPointHistory: 21_601 }],
    ['app-consistent points every half hour', { appConsistentFrequencyInMinutes: 30 }],
    ['app-consistent points every 13 hours', { appConsistentFrequencyInMinutes: 780 }],
    ['crash-consistent points every minute', { crashConsistentFrequencyInMinutes: 1 }],
    ['half minutes', { recoveryPointHistory: 0.5 }],
    ['no word on multi-VM consistency', { multiVmSyncStatus: undefined }],
    ['another provider', { instanceType: 'HyperVReplicaAzure' }],
  ])('refuses %s', (_, changes) => {
    expect(CreatePolicyBody.safeParse(bodyOf(changes)).success).toBe(false);
  });

  it('may be created again as it is, but not with other settings', () => {
    const existing = policyOf('gold');
    expect(planPolicy({ ...policyOf('Gold'), policyId: twinId, createdAtMs: 9 }, existing)).toBe('none');
    expect(() => planPolicy(policyOf('gold', { recoveryPointHistory: 60 }), existing)).toThrow(
      /other settings/u,
    );
  });

  it('may be created in place of the twin that was made by itself', () => {
    const twin = twinOf(policyOf('gold'), twinId);
    const own = policyOf('gold-failback', { instanceType: 'InMage', recoveryPointHistory: 60 });
    expect(planPolicy(own, twin)).toBe('create');
    expect(() => planPolicy(policyOf('gold-failback'), twin)).toThrow(/other settings/u);
  });
});

describe('a container mapping', () => {
  it('leads to Azure under a protection policy and back under a failback policy', () => {
    const back = policyOf('back', { instanceType: 'InMage' });
    expect(directionOf(policyOf('gold'), { id: 'Microsoft Azure', containerId: '/c' })).toBe('toAzure');
    expect(directionOf(back, { id: '/C', containerId: '/c' })).toBe('toSite');
    expect(() => directionOf(policyOf('gold'), { id: '/c', containerId: '/c' })).toThrow(/can not lead/u);
    expect(() => directionOf(back, { id: 'Microsoft Azure', containerId: '/c' })).toThrow(/can not lead/u);
  });

  it('is made once for a policy and a container', () => {
    expect(() => checkMappedOnce({ ...mapping, name: 'again' }, [mapping])).toThrow(/already, as 'map'/u);
    expect(() => checkMappedOnce(mapping, [mapping])).not.toThrow();
    expect(() =>
      checkMappedOnce({ ...mapping, name: 'again' }, [{ ...mapping, automatic: true }]),
    ).not.toThrow();
  });

  it('is answered with Azure, or its own container, as target', () => {
    const there = mappingAnswer(vault, mapping, 'cs1').properties;
    expect(there).toMatchObject({ targetProtectionContainerId: 'Microsoft Azure', state: 'Paired' });
    const back = mappingAnswer(vault, { ...mapping, direction: 'toSite' }, 'cs1').properties;
    expect(back.targetProtectionContainerId).toMatch(/\/replicationProtectionContainers\/cloud_1$/u);
    expect(back.targetFabricFriendlyName).toBe('cs1');
  });
});
