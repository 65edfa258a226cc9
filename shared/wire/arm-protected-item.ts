import { z } from 'zod';

const id = z.string().min(1).max(1_000);
const word = z.string().min(1).max(200);

/** SDKs send null for what was not set. */
const optional = <T>(schema: z.ZodType<T>) => schema.nullish().transform((value) => value ?? undefined);

const DiskInput = z.object({
  diskId: word,
  logStorageAccountId: optional(id),
  diskType: optional(word),
});

/** providerSpecificDetails of enabling protection of a VMware machine to Azure. What is not read here is ignored. */
export const InMageAzureV2EnableInput = z.object({
  instanceType: z.literal('InMageAzureV2', {
    error: "must be 'InMageAzureV2'; other replication providers are not supported",
  }),
  processServerId: optional(word),
  runAsAccountId: optional(word),
  multiVmGroupId: optional(word),
  multiVmGroupName: optional(word),
  /** Absent or empty: all disks. */
  disksToInclude: optional(z.array(DiskInput).max(65)),
  storageAccountId: optional(id),
  logStorageAccountId: optional(id),
  targetAzureNetworkId: optional(id),
  targetAzureSubnetId: optional(word),
  enableRdpOnTargetOption: optional(z.enum(['Never', 'OnlyOnTestFailover', 'Always'])),
  targetAzureVmName: optional(word),
  targetAzureV1ResourceGroupId: optional(id),
  targetAzureV2ResourceGroupId: optional(id),
  diskType: optional(word),
  licenseType: optional(word),
  targetVmSize: optional(word),
  targetAvailabilityZone: optional(word),
});
export type InMageAzureV2EnableInput = z.infer<typeof InMageAzureV2EnableInput>;

/** Body of PUT replicationProtectedItems/{name}. */
export const EnableProtectionBody = z.object({
  properties: z.object({
    policyId: id,
    protectableItemId: id,
    providerSpecificDetails: InMageAzureV2EnableInput,
  }),
});

/** Body of POST replicationProtectedItems/{name}/remove. */
export const DisableProtectionBody = z.object({
  properties: z.object({
    disableProtectionReason: z
      .enum(['NotSpecified', 'MigrationComplete'])
      .nullish()
      .transform((reason) => reason ?? 'NotSpecified'),
    replicationProviderInput: z.unknown().optional(),
  }),
});

/** Body of POST {vault}/secondsite/recoveryPoints. */
export const CreateRecoveryPointBody = z.object({ properties: z.object({ protectedItemId: id }) });
