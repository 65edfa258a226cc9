/** What Secondsite answers below {vault}/secondsite/, where Site Recovery has no operation. docs/openapi.json is made of it. */
import { z } from 'zod';

const nextLink = z.url().nullable().describe('Address of the next page; null on the last.');
const time = z.iso.datetime();

/** Query of GET targetEnvironment. */
export const TargetEnvironmentQuery = z.object({
  storageAccountId: z.string('is missing').max(1_000),
  virtualNetworkId: z.string('is missing').max(1_000),
  subnetName: z.string('is missing').min(1).max(80),
});

/** Answer of GET targetEnvironment. */
export const TargetEnvironmentAnswer = z.object({
  compatible: z.boolean(),
  checks: z.array(
    z.object({
      name: z.enum([
        'StorageAccount',
        'StorageRegion',
        'StorageKind',
        'StorageRedundancy',
        'Network',
        'NetworkRegion',
        'Subnet',
      ]),
      outcome: z.enum(['Passed', 'Failed']),
      found: z.string(),
      wanted: z.string(),
      action: z.string().describe('What to do; empty when it passed.'),
    }),
  ),
});

/** Answer of GET protectedItems/{name}/replicaLog. */
export const ReplicaLogAnswer = z.object({
  protectedItemId: z.uuid(),
  containerName: z.string(),
  anchor: z
    .object({ sequence: z.number().int(), hash: z.string() })
    .nullable()
    .describe('The end of the chain, kept outside of the container; null before the first point.'),
  points: z.array(
    z.object({
      name: z.uuid(),
      sequence: z.number().int(),
      time,
      consistency: z.enum(['CrashConsistent', 'AppConsistent']),
      hash: z.string().describe('SHA-256 of the manifest, hex.'),
      changedBytes: z.number().int(),
      uploadedBytes: z.number().int(),
    }),
  ),
  nextLink,
});

/** Answer of GET auditEvents. */
export const AuditEventsAnswer = z.object({
  value: z.array(
    z.object({
      id: z.string(),
      name: z.uuid(),
      type: z.literal('Microsoft.RecoveryServices/vaults/secondsite/auditEvents'),
      properties: z.object({
        time,
        caller: z.object({ objectId: z.string(), tenantId: z.string(), name: z.string() }),
        action: z.string().describe('The ARM action.'),
        method: z.string(),
        path: z.string(),
        status: z.number().int(),
        outcome: z.enum(['Accepted', 'Succeeded', 'Refused', 'Failed']),
        errorCode: z.string().nullable(),
        correlationId: z.string(),
      }),
    }),
  ),
  nextLink,
});

/** Every error. */
export const ErrorAnswer = z.object({
  error: z.object({
    code: z.string(),
    message: z.string().describe('What was wrong, where, and what to do.'),
    target: z.string().nullable(),
    details: z.null(),
    innererror: z.looseObject({ code: z.string().optional() }).optional(),
  }),
});
