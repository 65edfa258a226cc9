import { z } from 'zod';
import { Fault } from '../fault.ts';
import { OsType } from './discovery.ts';
import { CompactToken } from './registration.ts';

/** A disk of a machine, as both sides name it. */
export const DiskRef = z.object({
  /** The discovered disk's id (DiscoveredDisk.diskId); unique within the machine. */
  diskId: z.string().min(1).max(200),
  sizeBytes: z.number().int().positive(),
});
export type DiskRef = z.infer<typeof DiskRef>;

/** A disk of a protected item. */
export const AssignedDisk = DiskRef.extend({
  /** What the replica log calls it: its own for good, and never another disk's of the item, also when it is removed. */
  number: z.number().int().min(0).max(65_535),
});
export type AssignedDisk = z.infer<typeof AssignedDisk>;

/** How often points are made. 0 = none of that kind. */
export const PointSchedule = z.object({
  crashConsistentMinutes: z.number().int().min(0).max(1_440),
  appConsistentMinutes: z.number().int().min(0).max(1_440),
});
export type PointSchedule = z.infer<typeof PointSchedule>;

/** Where and with which account an appliance may install the mobility agent of a machine. */
export const PushTarget = z.object({
  /** In the order in which they are tried. */
  addresses: z.array(z.string().min(1).max(255)).max(20),
  osType: OsType,
  /** The run-as account chosen when replication was enabled. */
  accountId: z.string().min(1).max(64),
});
export type PushTarget = z.infer<typeof PushTarget>;

/** What the control plane asks of an appliance. Each is idempotent there; asking twice gives the same result. */
export const CommandBody = z.discriminatedUnion('kind', [
  /** Connect, pin the certificate, discover. Done when the discovery report has been sent. */
  z.object({
    kind: z.literal('addVCenter'),
    vCenterName: z.string().min(1).max(200),
    address: z.string().min(1).max(255),
    port: z.number().int().min(1).max(65_535),
    accountId: z.string().min(1).max(64),
  }),
  z.object({ kind: z.literal('removeVCenter'), vCenterName: z.string().min(1).max(200) }),
  /** Discover every vCenter again. Done when the reports have been sent. */
  z.object({ kind: z.literal('refresh') }),
  /**
   * Done when a mobility agent with this BIOS UUID is enrolled and in touch and has told its disks. With `push` the
   * appliance installs it where none is in touch; without, somebody does it by hand.
   */
  z.object({
    kind: z.literal('prepareMachine'),
    protectedItemId: z.guid(),
    biosUuid: z.guid(),
    machineName: z.string().max(255),
    disks: z.array(DiskRef).min(1).max(256),
    push: PushTarget.optional(),
  }),
  /** Push the appliance's version of the mobility agent. Done when it runs; replication goes on meanwhile. */
  z.object({
    kind: z.literal('updateAgent'),
    protectedItemId: z.guid(),
    biosUuid: z.guid(),
    machineName: z.string().max(255),
    push: PushTarget,
  }),
  /**
   * Replicate these disks from now on; of an item that is replicated already the disks and the schedule may be others
   * than before. Done when the agent has its assignment; what follows is told by progress check-ins.
   */
  z.object({
    kind: z.literal('startReplication'),
    protectedItemId: z.guid(),
    biosUuid: z.guid(),
    machineName: z.string().max(255),
    disks: z.array(AssignedDisk).min(1).max(256),
    /** Compact JWE (ECDH-ES, A256GCM) to the appliance's encryption key; plaintext: the item's 32-byte data key. */
    sealedDataKey: CompactToken,
    schedule: PointSchedule,
  }),
  /** Stop, forget the data key, drop the item's spool. */
  z.object({ kind: z.literal('stopReplication'), protectedItemId: z.guid() }),
  /** Show another certificate, with another key, at the port that agents come in at; the appliance's CA stays. */
  z.object({ kind: z.literal('renewCertificate') }),
  /** Compare all disks with the replica and send what differs. Done when that is noted; what follows is told by progress. */
  z.object({ kind: z.literal('resynchronize'), protectedItemId: z.guid() }),
  /** Make a point now, outside the schedule. Done when the point is in the replica log. */
  z.object({ kind: z.literal('createRecoveryPoint'), protectedItemId: z.guid() }),
]);
export type CommandBody = z.infer<typeof CommandBody>;

/** One message on `commands-{applianceId}`. */
export const Command = z.object({
  version: z.literal(1),
  /** Derived from the job and step, so that a repeated step sends the same id. */
  commandId: z.string().min(1).max(200),
  issuedAtMs: z.number().int(),
  body: CommandBody,
});
export type Command = z.infer<typeof Command>;

/** How a command ended; sent back in a check-in. */
export const CommandResult = z.object({
  commandId: z.string().min(1).max(200),
  outcome: z.enum(['succeeded', 'failed']),
  /** Present when failed. */
  fault: Fault.optional(),
  /** createRecoveryPoint: the point's sequence in the replica log. */
  pointSequence: z.number().int().positive().optional(),
  /** renewCertificate: until when the new one is good. */
  certificateExpiresAtMs: z.number().int().positive().optional(),
  /** resynchronize: which of the item's requests it is; its progress tells how many are done. */
  resyncRequest: z.number().int().positive().optional(),
  /** prepareMachine and updateAgent: what the agent says of itself. */
  agentVersion: z.string().max(64).optional(),
  osName: z.string().max(255).optional(),
});
export type CommandResult = z.infer<typeof CommandResult>;
