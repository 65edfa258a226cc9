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

const bytes = z.number().int();
const compaction = z
  .object({ number: z.number().int(), hash: z.string() })
  .nullable()
  .describe(
    'The record that stands for the beginning of the chain, and its SHA-256, hex; null where there is none.',
  );
const consistency = z.enum(['CrashConsistent', 'AppConsistent']);

/** A point as a verifier or restorer sees it; also the answer of PUT …/holds/{holdId}. */
export const LogPointAnswer = z.object({
  name: z.uuid(),
  sequence: z.number().int(),
  time,
  consistency,
  hash: z.string().describe('SHA-256 of the manifest, hex.'),
  changedBytes: bytes,
  uploadedBytes: bytes,
  holds: z
    .array(z.object({ holdId: z.string(), holder: z.string(), until: time }))
    .describe('Who needs it just now; as long as there is one it is not dropped.'),
});

/** Answer of GET protectedItems/{name}/replicaLog. */
export const ReplicaLogAnswer = z.object({
  protectedItemId: z.uuid(),
  containerName: z.string(),
  anchor: z
    .object({ sequence: z.number().int(), hash: z.string(), compaction })
    .nullable()
    .describe('The end of the chain, kept outside of the container; null before the first point.'),
  retention: z.object({
    lastRunTime: time.nullable(),
    space: z
      .object({
        storedBytes: bytes.describe('Everything in the container.'),
        liveBytes: bytes.describe('Of that: needed to restore the points that there are.'),
        deadBytes: bytes.describe('Of that: nothing leads to it; deleted after the grace time.'),
        time,
      })
      .nullable(),
    problem: z
      .object({ blob: z.string(), detail: z.string(), since: time })
      .nullable()
      .describe('Why nothing is compacted or deleted: the log is damaged here.'),
  }),
  points: z.array(LogPointAnswer),
  nextLink,
});

/** Answer of GET protectedItems/{name}/retentionRuns. */
export const RetentionRunsAnswer = z.object({
  value: z.array(
    z.object({
      time,
      droppedPoints: z.array(z.object({ name: z.uuid(), sequence: z.number().int(), time, consistency })),
      compaction,
      writtenBytes: bytes,
      removedBlobs: z.number().int(),
      removedBytes: bytes,
      retainedBlobs: z.number().int().describe('Dead, and kept by a policy of the storage.'),
    }),
  ),
  nextLink,
});

/** Query of GET churn and GET rpoHistory, beside paging. */
export const HistoryQuery = z.object({
  protectedItem: z
    .string()
    .optional()
    .describe("An item's name or GUID. Without it all items, one after the other."),
});

const hour = time.describe('When the hour begins, UTC. Newest first.');
const recoveryPoints = z.number().int().describe('Recovery points of the hour.');

/** Answer of GET churn. */
export const ChurnAnswer = z.object({
  value: z.array(
    z.object({
      protectedItemId: z.uuid(),
      hour,
      points: recoveryPoints,
      uploadedBytes: bytes.describe('Uploaded for its points: compressed, encrypted.'),
      disks: z
        .array(
          z.object({
            diskId: z.string(),
            changedBytes: bytes,
            averageBytesPerSecond: bytes.describe('Over the whole hour.'),
            peakBytesPerSecond: bytes.describe('The most that one point brought since the one before.'),
          }),
        )
        .describe('From the first recovery point on: the initial replication is no churn.'),
    }),
  ),
  nextLink,
});

/** Answer of GET rpoHistory. */
export const RpoHistoryAnswer = z.object({
  value: z.array(
    z.object({
      protectedItemId: z.uuid(),
      hour,
      points: recoveryPoints,
      maxRpoSeconds: z
        .number()
        .int()
        .nullable()
        .describe(
          'How old the newest point had become when a new one was recorded in this hour; null where none was. An hour that is not listed brought no point: the next one listed tells how far it went.',
        ),
      minRpoSeconds: z.number().int().nullable().describe('How old that new one was then.'),
    }),
  ),
  nextLink,
});

/** Name of a hold: whoever holds chooses it, so that holding again prolongs. */
export const HoldId = z
  .string()
  .regex(/^[\w.-]{1,64}$/u, 'must be 1 to 64 letters, digits, dots, hyphens or underscores');

/** Body of PUT …/recoveryPoints/{recoveryPointName}/holds/{holdId}. */
export const HoldBody = z.object({
  properties: z.object({
    holder: z.string().min(1).max(200).describe('Who needs the point, for people to read.'),
    minutes: z.number().int().min(1).max(1_440).describe('How long; hold again to prolong.'),
  }),
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
