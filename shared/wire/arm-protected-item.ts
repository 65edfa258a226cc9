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

/** Body of POST replicationProtectedItems/{name}/updateMobilityService. */
export const UpdateMobilityServiceBody = z.object({
  properties: optional(z.object({ runAsAccountId: optional(z.string().min(1).max(64)) })),
});

/** Body of PUT replicationProtectedItems/{name}. */
export const EnableProtectionBody = z.object({
  properties: z.object({
    policyId: id,
    protectableItemId: id,
    providerSpecificDetails: InMageAzureV2EnableInput,
  }),
});

const IpConfigInput = z.object({
  isPrimary: optional(z.boolean()),
  recoverySubnetName: optional(word),
  recoveryStaticIPAddress: optional(z.ipv4()),
  tfoSubnetName: optional(word),
  tfoStaticIPAddress: optional(z.ipv4()),
});

const NicInput = z.object({
  nicId: word,
  selectionType: optional(z.enum(['NotSelected', 'SelectedByDefault', 'SelectedByUser'])),
  ipConfigs: optional(z.array(IpConfigInput).max(1, 'a card has one address here')),
  recoveryNetworkSecurityGroupId: optional(id),
  enableAcceleratedNetworkingOnRecovery: optional(z.boolean()),
  recoveryNicName: optional(word),
  tfoNetworkSecurityGroupId: optional(id),
  enableAcceleratedNetworkingOnTfo: optional(z.boolean()),
  tfoNicName: optional(word),
});
export type NicInput = z.infer<typeof NicInput>;

/** Body of PATCH replicationProtectedItems/{name}: what is absent stays. */
export const UpdateProtectedItemBody = z.object({
  properties: z.object({
    recoveryAzureVMName: optional(word),
    recoveryAzureVMSize: optional(word),
    selectedRecoveryAzureNetworkId: optional(id),
    selectedTfoAzureNetworkId: optional(id),
    selectedSourceNicId: optional(word),
    enableRdpOnTargetOption: optional(z.enum(['Never', 'OnlyOnTestFailover', 'Always'])),
    vmNics: optional(z.array(NicInput).max(10)),
    licenseType: optional(z.enum(['NotSpecified', 'NoLicenseType', 'WindowsServer'])),
    recoveryAvailabilitySetId: optional(id),
    providerSpecificDetails: optional(
      z.object({
        instanceType: z.literal('InMageAzureV2', { error: "must be 'InMageAzureV2'" }),
        recoveryAzureV1ResourceGroupId: optional(id),
        recoveryAzureV2ResourceGroupId: optional(id),
        targetProximityPlacementGroupId: optional(id),
        targetAvailabilityZone: optional(word),
        sqlServerLicenseType: optional(word),
        targetVmTags: optional(
          z
            .record(z.string().min(1).max(512), z.string().max(256))
            .refine((tags) => Object.keys(tags).length <= 50, 'at most 50 tags are possible'),
        ),
        vmDisks: optional(z.array(z.object({ diskId: word, targetDiskName: optional(word) })).max(65)),
      }),
    ),
  }),
});
export type ProtectedItemChange = z.infer<typeof UpdateProtectedItemBody>['properties'];

/** Body of POST replicationProtectedItems/{name}/resolveHealthErrors. */
export const ResolveHealthErrorsBody = z.object({
  properties: z
    .object({ healthErrors: optional(z.array(z.object({ healthErrorId: optional(word) })).max(1_000)) })
    .nullish(),
});

const diskIds = z
  .array(z.strictObject({ diskId: word.describe('As protectedDisks and the protectable item name it.') }))
  .min(1, 'names no disk')
  .max(65);
/** The official clients send '' where something is required and not known. */
const sameAsItem = (what: string) =>
  z.string().max(1_000).nullish().describe(`Empty, or ${what} of the item: all its disks have the same.`);

const a2aForm =
  "The form in which the official clients can name disks: of the other, they send the instanceType only ('A2A' is Site Recovery's word for Azure machines, which are not meant here).";

/** Body of POST replicationProtectedItems/{name}/addDisks. */
export const AddDisksBody = z.object({
  properties: z.object({
    providerSpecificDetails: z.discriminatedUnion('instanceType', [
      z.strictObject({ instanceType: z.literal('InMageAzureV2'), disksToInclude: diskIds }),
      z
        .strictObject({
          instanceType: z.literal('A2A'),
          vmManagedDisks: z
            .array(
              z.strictObject({
                diskId: word.describe('As the protectable item names it.'),
                primaryStagingAzureStorageAccountId: sameAsItem('the log storage account'),
                recoveryResourceGroupId: sameAsItem('the target resource group'),
              }),
            )
            .min(1, 'names no disk')
            .max(65),
        })
        .describe(a2aForm),
    ]),
  }),
});
export type AddDisksInput = z.infer<typeof AddDisksBody>['properties']['providerSpecificDetails'];

/** Body of POST replicationProtectedItems/{name}/removeDisks. */
export const RemoveDisksBody = z.object({
  properties: z.object({
    providerSpecificDetails: z.discriminatedUnion('instanceType', [
      z.strictObject({ instanceType: z.literal('InMageAzureV2'), disksToRemove: diskIds }),
      z
        .strictObject({
          instanceType: z.literal('A2A'),
          vmManagedDisksIds: z
            .array(word)
            .min(1, 'names no disk')
            .max(65)
            .describe('As protectedDisks names them.'),
        })
        .describe(a2aForm),
    ]),
  }),
});
export type RemoveDisksInput = z.infer<typeof RemoveDisksBody>['properties']['providerSpecificDetails'];

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
