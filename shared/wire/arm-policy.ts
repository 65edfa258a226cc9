import { z } from 'zod';

/** PUT of a replication policy's mapping: the target that stands for Azure itself. */
export const azureContainerId = 'Microsoft Azure';

const minutes = (least: number, most: number) =>
  z
    .number()
    .int()
    .min(least, `must be ${least} to ${most} minutes`)
    .max(most, `must be ${least} to ${most} minutes`);

/** Points are kept up to 15 days: https://learn.microsoft.com/azure/site-recovery/vmware-azure-set-up-replication */
const retention = minutes(0, 15 * 24 * 60);
const threshold = minutes(1, 24 * 60);
const appConsistent = z
  .number()
  .int()
  .refine((value) => value === 0 || (value >= 60 && value <= 720), 'must be 0 (none) or 60 to 720 minutes');
/** The real service makes crash-consistent points every five minutes and takes no other figure. */
const crashConsistent = z
  .number()
  .int()
  .refine((value) => value === 5, 'must be 5 minutes');
const multiVmSync = z.enum(['Enable', 'Disable']);

/** Policy of VMware to Azure. */
export const InMageAzureV2PolicyInput = z.object({
  instanceType: z.literal('InMageAzureV2'),
  recoveryPointThresholdInMinutes: threshold.default(60),
  recoveryPointHistory: retention.default(24 * 60),
  crashConsistentFrequencyInMinutes: crashConsistent.default(5),
  appConsistentFrequencyInMinutes: appConsistent.default(60),
  multiVmSyncStatus: multiVmSync,
});

/** Policy of failback, Azure to VMware. */
export const InMagePolicyInput = z.object({
  instanceType: z.literal('InMage'),
  recoveryPointThresholdInMinutes: threshold.default(60),
  recoveryPointHistory: retention.default(24 * 60),
  appConsistentFrequencyInMinutes: appConsistent.default(60),
  multiVmSyncStatus: multiVmSync,
});

/** Body of PUT replicationPolicies/{name}. */
export const CreatePolicyBody = z.object({
  properties: z.object({
    providerSpecificInput: z.discriminatedUnion(
      'instanceType',
      [InMageAzureV2PolicyInput, InMagePolicyInput],
      {
        error:
          "must be an object whose instanceType is 'InMageAzureV2' (VMware to Azure) or 'InMage' (failback)",
      },
    ),
  }),
});

const unchanged = <T>(schema: z.ZodType<T>) => schema.nullish().transform((value) => value ?? undefined);

/** Body of PATCH replicationPolicies/{name}: what is absent stays. */
export const UpdatePolicyBody = z.object({
  properties: z.object({
    replicationProviderSettings: z.object({
      instanceType: z.enum(['InMageAzureV2', 'InMage'], {
        error: "must be the policy's own: 'InMageAzureV2' or 'InMage'",
      }),
      recoveryPointThresholdInMinutes: unchanged(threshold),
      recoveryPointHistory: unchanged(retention),
      crashConsistentFrequencyInMinutes: unchanged(crashConsistent),
      appConsistentFrequencyInMinutes: unchanged(appConsistent),
      multiVmSyncStatus: unchanged(multiVmSync),
    }),
  }),
});
export type PolicyChange = z.infer<typeof UpdatePolicyBody>['properties']['replicationProviderSettings'];
export type PolicyInput = z.infer<typeof CreatePolicyBody>['properties']['providerSpecificInput'];

/** Body of PATCH replicationProtectionContainerMappings/{name}: VMware has nothing there that could be changed. */
export const UpdateMappingBody = z.object({
  properties: z
    .object({
      providerSpecificInput: z
        .null({ error: 'is for replication between Azure regions; a mapping of VMware has no settings' })
        .optional(),
    })
    .nullish(),
});

/** Body of POST replicationProtectionContainerMappings/{name}/remove. */
export const RemoveMappingBody = z.object({
  properties: z.object({ providerSpecificInput: z.unknown().optional() }).nullish(),
});

/** Body of PUT replicationProtectionContainerMappings/{name}. */
export const CreateMappingBody = z.object({
  properties: z.object({
    targetProtectionContainerId: z.string().min(1).max(1_000),
    policyId: z.string().min(1).max(1_000),
    /** The real service takes none for VMware and ignores what comes. */
    providerSpecificInput: z.unknown().optional(),
  }),
});
