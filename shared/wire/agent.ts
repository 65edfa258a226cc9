import { z } from 'zod';
import { Fault } from '../fault.ts';
import { DiskRef } from './command.ts';

/**
 * What a mobility agent and its process server say to each other: HTTPS on port 9443, JSON but for the extents.
 * Everything but the two enrolment calls needs a client certificate of the appliance's CA, whose common name is
 * the machine's BIOS UUID.
 *
 *     POST /v1/enrolment/challenge                    EnrolmentChallengeRequest -> EnrolmentChallenge
 *     POST /v1/enrolment                              EnrolmentRequest -> EnrolmentResult
 *     POST /v1/work?waitSeconds=25&known=VERSION      AgentReport -> AgentWork (at once when it is not that version)
 *     POST /v1/items/{protectedItemId}/cycles         CycleRequest -> CycleAnswer
 *     POST /v1/items/{protectedItemId}/cycles/{cycleId}/extents   extent frames -> ExtentsAcknowledged
 *     POST /v1/items/{protectedItemId}/cycles/{cycleId}/commit    CycleCommit -> CycleCommitted
 *
 * Errors are { fault: Fault } with a 4xx or 5xx status.
 */
export const agentProtocol = { version: 1, path: '/v1' } as const;

/** 32 bytes. */
const Nonce = z.string().regex(/^[A-Za-z0-9+/]{43}=$/u);

export const EnrolmentChallengeRequest = z.object({
  biosUuid: z.guid(),
  /** 32 random bytes of the agent. */
  agentNonce: Nonce,
});
export type EnrolmentChallengeRequest = z.infer<typeof EnrolmentChallengeRequest>;

export const EnrolmentChallenge = z.object({
  challengeId: z.guid(),
  /** 32 random bytes of the server. */
  serverNonce: Nonce,
  /** 32 bytes; with the passphrase they make the proof key: scrypt(passphrase, salt, 32, N 2^15, r 8, p 1). */
  salt: Nonce,
});
export type EnrolmentChallenge = z.infer<typeof EnrolmentChallenge>;

/** What a machine is made of, as its operating system shows it. */
export const AgentHardware = z.object({
  cpus: z.number().int().positive(),
  memoryMB: z.number().int().positive(),
  firmware: z.enum(['bios', 'efi']),
  /** Network cards that have an address. */
  nics: z.array(z.object({ mac: z.string().max(64), ipAddress: z.string().max(64) })).max(64),
});
export type AgentHardware = z.infer<typeof AgentHardware>;

/** What an agent says of its machine. */
export const AgentMachine = z.object({
  /** Older agents do not tell. */
  hardware: AgentHardware.optional(),
  hostName: z.string().max(255),
  osName: z.string().max(255),
  version: z.string().max(64),
});
export type AgentMachine = z.infer<typeof AgentMachine>;

export const EnrolmentRequest = z.object({
  challengeId: z.guid(),
  /** PKCS #10, PEM. */
  certificateRequestPem: z.string().max(4_096),
  machine: AgentMachine,
  /** HMAC-SHA256 by the proof key: see appliance/process-server/enrolment.ts for what it covers. */
  proof: Nonce,
});
export type EnrolmentRequest = z.infer<typeof EnrolmentRequest>;

export const EnrolmentResult = z.object({
  certificatePem: z.string().max(8_192),
  caCertificatePem: z.string().max(8_192),
  /** The server's own proof that it knows the passphrase. */
  proof: Nonce,
});
export type EnrolmentResult = z.infer<typeof EnrolmentResult>;

/** A disk as the agent sees it now. */
export const AgentDisk = z.object({
  diskId: z.string().min(1).max(200),
  /** Absent when the disk can't be opened; then `fault` says why. */
  sizeBytes: z.number().int().nonnegative().optional(),
  /** Its logical sectors; absent for an image file, which has none. */
  sectorBytes: z.number().int().positive().optional(),
  fault: Fault.optional(),
});
export type AgentDisk = z.infer<typeof AgentDisk>;

/** Sent with every poll for work: the agent's heartbeat. */
export const AgentReport = z.object({
  machine: AgentMachine,
  disks: z.array(AgentDisk).max(256),
  /** It looks for wanted disks by itself, and tells of each of them, found or not, once it knows that they are wanted. */
  looksForDisks: z.boolean().optional(),
  /** What it is busy with, or why it stands still. */
  items: z
    .array(
      z.object({
        protectedItemId: z.guid(),
        cycleId: z.guid().optional(),
        fault: Fault.optional(),
      }),
    )
    .max(100),
});
export type AgentReport = z.infer<typeof AgentReport>;

/** What the agent is to replicate. The whole list each time: what is not in it is to be stopped and forgotten. */
export const AgentWork = z.object({
  /** Changes with every change of what follows. */
  version: z.string().max(64),
  /** Disks that replication is about to be enabled for: the agent looks for them and tells of them. */
  wantedDisks: z.array(DiskRef).max(256).optional(),
  items: z
    .array(
      z.object({
        protectedItemId: z.guid(),
        disks: z.array(DiskRef).min(1).max(256),
        crashConsistentMinutes: z.number().int().nonnegative(),
        appConsistentMinutes: z.number().int().nonnegative(),
        /** The newest point that the process server knows of; 0: none. */
        lastPoint: z.number().int().nonnegative(),
        /** Grows when a point is wanted now; the agent makes one for each new value it sees. */
        pointRequest: z.number().int().nonnegative(),
        /** Grows when the disks are to be compared in whole with what the replica has. */
        resyncRequest: z.number().int().nonnegative(),
      }),
    )
    .max(100),
});
export type AgentWork = z.infer<typeof AgentWork>;

/** Begins a cycle, or goes on with the one that is open. */
export const CycleRequest = z.object({
  cycleId: z.guid(),
  /** Extents may have been acknowledged in this cycle: then it must be the open one, and none is begun. */
  resumes: z.boolean(),
  /** Sequence of the point that the agent's hashes stand for; 0: it has none, everything will be sent. */
  basePoint: z.number().int().nonnegative(),
  /** The cycle that made that point: a process server that lost its state may have another point of that number. */
  baseCycleId: z.guid().optional(),
  /** Those assigned to it, in that order, as large as they are now: a disk may have grown. */
  disks: z.array(DiskRef).min(1).max(256),
  /** The newest request for a resynchronization that the cycle answers: then every disk is compared in whole. */
  resyncRequest: z.number().int().nonnegative(),
});
export type CycleRequest = z.infer<typeof CycleRequest>;

/** Ranges in one answer; where more were lost, neighbours are joined. */
export const lostRangesAtMost = 10_000;

/** Part of a disk. */
export const DiskRange = z.object({
  /** The disk's place in the cycle's list. */
  diskIndex: z.number().int().nonnegative(),
  offsetBytes: z.number().int().nonnegative(),
  lengthBytes: z.number().int().positive(),
});
export type DiskRange = z.infer<typeof DiskRange>;

export const CycleAnswer = z.discriminatedUnion('state', [
  /**
   * Send extents, then commit. `lastPoint`: 0 while the replica is empty, so that zeros need not be sent. `lost`: what
   * the process server had acknowledged and has no longer; whatever the agent knows of it, it is to be sent again.
   */
  z.object({
    state: z.literal('open'),
    lastPoint: z.number().int().nonnegative(),
    lost: z.array(DiskRange).max(lostRangesAtMost),
  }),
  /** This cycle was committed already; the agent missed the answer. */
  z.object({ state: z.literal('committed'), pointSequence: z.number().int().positive() }),
  /** A cycle that the agent believes open is not: it begins another from its base. */
  z.object({ state: z.literal('unknownCycle') }),
  /** The replica stands at another point than the agent believes: it starts anew with `basePoint: 0`. */
  z.object({ state: z.literal('baseMismatch'), lastPoint: z.number().int().nonnegative() }),
]);
export type CycleAnswer = z.infer<typeof CycleAnswer>;

/** How an agent's extents are framed in a body, little-endian, one after the other. */
export const extentHeaderBytes = 20;
/** The longest extent, and the longest body, that a process server takes. */
export const extentLimits = { extentBytes: 1024 * 1024, bodyBytes: 64 * 1024 * 1024 } as const;

/**
 * One extent's header: u16 disk index in the cycle's list, u16 flags (1: zeros, no bytes follow), u32 length, u64 offset,
 * u32 packed length: 0 when the extent's bytes follow as they are, else that of the zstd frame that follows instead.
 */
export interface ExtentHeader {
  diskIndex: number;
  zero: boolean;
  packedBytes: number;
  lengthBytes: number;
  offsetBytes: number;
}

/** Everything in the body is on the process server's disk. */
export const ExtentsAcknowledged = z.object({ extents: z.number().int().nonnegative() });
export type ExtentsAcknowledged = z.infer<typeof ExtentsAcknowledged>;

/** Progress that only the agent knows, sent with every body of extents as the header `secondsite-progress` (JSON). */
export const CycleProgress = z.object({
  disks: z
    .array(
      z.object({
        diskId: z.string().min(1).max(200),
        totalBytes: z.number().int().nonnegative(),
        processedBytes: z.number().int().nonnegative(),
      }),
    )
    .max(256),
});
export type CycleProgress = z.infer<typeof CycleProgress>;

export const Consistency = z.enum(['CrashConsistent', 'AppConsistent', 'NotConsistent']);
export type Consistency = z.infer<typeof Consistency>;

export const CycleCommit = z.object({
  /** The moment that the data stands for. */
  capturedAtMs: z.number().int().positive(),
  consistency: Consistency,
  /** Source bytes that changed since the base point. */
  changedBytes: z.number().int().nonnegative(),
  /** The point request this answers, when one was made. */
  pointRequest: z.number().int().nonnegative(),
});
export type CycleCommit = z.infer<typeof CycleCommit>;

export const CycleCommitted = z.object({ pointSequence: z.number().int().positive() });
export type CycleCommitted = z.infer<typeof CycleCommitted>;

/** Writes an extent's header into `target` at `at`. */
export function writeExtentHeader(target: Buffer, at: number, header: ExtentHeader): void {
  target.writeUInt16LE(header.diskIndex, at);
  target.writeUInt16LE(header.zero ? 1 : 0, at + 2);
  target.writeUInt32LE(header.lengthBytes, at + 4);
  target.writeBigUInt64LE(BigInt(header.offsetBytes), at + 8);
  target.writeUInt32LE(header.packedBytes, at + 16);
}

/** Reads an extent's header; what it says is not yet checked against the disks. */
export function readExtentHeader(source: Buffer, at: number): ExtentHeader {
  return {
    diskIndex: source.readUInt16LE(at),
    zero: (source.readUInt16LE(at + 2) & 1) === 1,
    lengthBytes: source.readUInt32LE(at + 4),
    offsetBytes: Number(source.readBigUInt64LE(at + 8)),
    packedBytes: source.readUInt32LE(at + 16),
  };
}
