import { z } from 'zod';
import { Fault } from '../fault.ts';
import { AgentHardware } from './agent.ts';
import { CommandResult, DiskRef } from './command.ts';
import { DiscoveryReport } from './discovery.ts';
import { PrerequisiteReport } from './prerequisite.ts';
import { ApplianceMachine } from './registration.ts';

const bytes = z.number().int().nonnegative();
const timeMs = z.number().int().nonnegative();

/** How a process server is doing. */
export const ProcessServerHealth = z.object({
  cpuPercent: z.number().min(0).max(100),
  memoryTotalBytes: bytes,
  memoryAvailableBytes: bytes,
  /** The cache disk: where the spool lies. */
  cacheTotalBytes: bytes,
  cacheFreeBytes: bytes,
  /** 1-minute load average. */
  systemLoad: z.number().nonnegative(),
  /** Spooled and not yet uploaded. */
  pendingUploadBytes: bytes,
  uploadBytesPerSecond: z.number().nonnegative(),
  replicatingMachines: z.number().int().nonnegative(),
});
export type ProcessServerHealth = z.infer<typeof ProcessServerHealth>;

/** A mobility agent as the configuration server last saw it. */
export const AgentStatus = z.object({
  /** What its machine is made of; older agents do not tell. */
  hardware: AgentHardware.optional(),
  /** The disks it was started with and can read; absent until it was in touch since the appliance started. */
  disks: z
    .array(DiskRef.extend({ sectorBytes: z.number().int().positive().optional() }))
    .max(256)
    .optional(),
  biosUuid: z.guid(),
  hostName: z.string().max(255),
  ipAddress: z.string().max(64),
  osName: z.string().max(255),
  version: z.string().max(64),
  lastHeartbeatMs: timeMs,
});
export type AgentStatus = z.infer<typeof AgentStatus>;

/** Sent every 30 seconds, and at once when something here changes. */
export const Heartbeat = z.object({
  kind: z.literal('heartbeat'),
  machine: ApplianceMachine,
  /** What setup found the machine to be. */
  prerequisites: PrerequisiteReport.optional(),
  processServer: ProcessServerHealth,
  /** The newest version of the mobility agent that it can push; absent when it has no package. */
  agentPackageVersion: z.string().max(64).optional(),
  /** Run-as accounts: names only, the secrets stay at the appliance. */
  accounts: z.array(z.object({ accountId: z.string().max(64), accountName: z.string().max(255) })).max(1_000),
  agents: z.array(AgentStatus).max(1_000),
  vCenters: z
    .array(
      z.object({
        vCenterName: z.string().max(200),
        lastSuccessMs: timeMs.optional(),
        /** Why the last try failed. */
        fault: Fault.optional(),
      }),
    )
    .max(100),
  /** When the first of its certificates ends: its own CA's, or that of the port that agents come in at. */
  certificateExpiresAtMs: timeMs,
  startedAtMs: timeMs,
});
export type Heartbeat = z.infer<typeof Heartbeat>;

/** Where one disk's replication stands. */
export const DiskProgress = z.object({
  diskId: z.string().min(1).max(200),
  /** Bytes of the disk this cycle has to look at or send. */
  totalBytes: bytes,
  /** Of these: handled so far (zero and unchanged ranges included). */
  processedBytes: bytes,
});

/** Where one item's replication stands. At most every 2 seconds while it moves; the newest wins. */
export const ItemProgress = z.object({
  protectedItemId: z.guid(),
  /** Waiting: nothing to do until the next point. */
  phase: z.enum(['InitialReplication', 'Resync', 'Delta', 'Waiting']),
  /** Number of the cycle, 1 for the initial replication. */
  cycle: z.number().int().positive(),
  disks: z.array(DiskProgress).max(256),
  /** Uploaded into the replica log in this cycle: compressed, encrypted. */
  uploadedBytes: bytes,
  /** Source bytes a second, over the last seconds. */
  bytesPerSecond: z.number().nonnegative(),
  startedAtMs: timeMs,
  /** Resynchronizations: how many were asked for and how many are done. Absent when none ever was. */
  resync: z
    .object({
      asked: z.number().int().nonnegative(),
      done: z.number().int().nonnegative(),
      /** When the last one was asked for. */
      sinceMs: timeMs,
    })
    .optional(),
  /** The cache disk lost what agents had sent. Present until a whole point is in the replica log again. */
  damage: z.object({ sinceMs: timeMs, lostBytes: bytes }).optional(),
  /** Why it stands still, where it does. */
  fault: Fault.optional(),
});
export type ItemProgress = z.infer<typeof ItemProgress>;

/** A recovery point is in the replica log. The control plane reads the manifest itself; this only says when to look. */
export const RecoveryPointWritten = z.object({
  kind: z.literal('recoveryPoint'),
  protectedItemId: z.guid(),
  sequence: z.number().int().positive(),
  /** Bytes of the disks that changed since the point before. */
  changedBytes: bytes,
  /** Bytes uploaded for it. */
  uploadedBytes: bytes,
});
export type RecoveryPointWritten = z.infer<typeof RecoveryPointWritten>;

export const CheckInBody = z.discriminatedUnion('kind', [
  Heartbeat,
  z.object({
    kind: z.literal('discovery'),
    vCenterName: z.string().min(1).max(200),
    report: DiscoveryReport,
  }),
  z.object({ kind: z.literal('progress'), items: z.array(ItemProgress).max(100) }),
  RecoveryPointWritten,
  z.object({ kind: z.literal('commandResult'), result: CommandResult }),
  /** How far a command is that takes long; the newest wins. */
  z.object({
    kind: z.literal('commandProgress'),
    commandId: z.string().min(1).max(200),
    /** In words. */
    step: z.string().min(1).max(200),
    percent: z.number().int().min(0).max(100),
  }),
]);
export type CheckInBody = z.infer<typeof CheckInBody>;

/** What an appliance says. (epoch, sequence) orders what one sender sent; a later epoch follows every restart. */
export const CheckIn = z.object({
  version: z.literal(1),
  applianceId: z.guid(),
  vaultId: z.string().max(1_000),
  /** Grows with every start of the appliance. */
  epoch: z.number().int().positive(),
  /** Grows with every check-in of an epoch. */
  sequence: z.number().int().positive(),
  sentAtMs: timeMs,
  /** Absent when it went by claim check. */
  body: CheckInBody.optional(),
  /** Where a body over 200 KB lies: gzip of its JSON in the claim-check container, with the SHA-256 (hex) of the gzip. */
  claimCheck: z.object({ blobName: z.string().max(200), sha256: z.string().length(64) }).optional(),
});
export type CheckIn = z.infer<typeof CheckIn>;

/**
 * One message on `agent-checkins`: a compact JWS (ES256) by the appliance's signing key over a {@link CheckIn}.
 * Every appliance may send to the queue; the signature keeps one from speaking for another.
 */
export const CheckInMessage = z.object({
  vaultId: z.string().max(1_000),
  applianceId: z.guid(),
  jws: z.string().max(512 * 1024),
});
export type CheckInMessage = z.infer<typeof CheckInMessage>;
