import type {
  AgentStatus,
  ItemProgress,
  ProcessServerHealth,
  RecoveryPointWritten,
} from '../../shared/wire/check-in.ts';
import type { UploadAgents } from '../../shared/replica/put-blob.ts';
import type { AssignedDisk, DiskRef, PointSchedule } from '../../shared/wire/command.ts';
import type { ContainerGrant } from '../../shared/wire/registration.ts';
import type { LogLimits } from './item-log.ts';

/** What a process server needs from the configuration server it belongs to. */
export interface ProcessServerOptions {
  /** Spool, CA, enrolled agents, assignments. Made with mode 700. */
  dataFolder: string;
  host: string;
  /** 9443 by custom; 0 takes a free one. */
  port: number;
  /** The passphrase that agents prove at enrolment, as it is now. */
  passphrase: () => string;
  vaultId: string;
  applianceId: string;
  /**
   * The create-only grant for an item's replica log.
   * @throws DomainError Unavailable while the vault can't be reached; the spool waits.
   */
  grant: (protectedItemId: string) => Promise<ContainerGrant>;
  /** Spool bytes at which agents are held back. */
  spoolLimitBytes?: number;
  /** The way to the storage account; left out, directly. */
  uploadAgents?: UploadAgents;
  /** How cycles are cut into segments and points. */
  limits?: LogLimits;
  onEvent: (event: ProcessServerEvent) => void;
}

export type ProcessServerEvent =
  | { kind: 'progress'; item: ItemProgress }
  /** The manifest is uploaded. Told again after a restart until {@link ProcessServer.pointConfirmed}. */
  | { kind: 'point'; point: RecoveryPointWritten }
  /** Enrolled, or its status changed. */
  | { kind: 'agent'; agent: AgentStatus };

/** One protected item as the process server holds it. */
export interface Assignment {
  protectedItemId: string;
  biosUuid: string;
  machineName: string;
  disks: AssignedDisk[];
  /** 32 bytes; encrypted at rest. */
  dataKey: Uint8Array;
  schedule: PointSchedule;
}

/** The part of the appliance that agents talk to: takes extents, keeps them durably, writes replica logs. */
export interface ProcessServer {
  port: number;
  /** SHA-256 of the appliance CA's certificate, upper case hex with colons. */
  caFingerprint: string;
  caExpiresAtMs: number;
  /** Until when the certificate is good that port 9443 shows. */
  certificateExpiresAtMs(): number;
  /** Shows another certificate, with another key, from the next connection on; connections that are there go on. */
  renewCertificate(): Promise<{ fingerprint: string; expiresAtMs: number }>;
  agents(): AgentStatus[];
  health(): Pick<
    ProcessServerHealth,
    | 'cacheTotalBytes'
    | 'cacheFreeBytes'
    | 'pendingUploadBytes'
    | 'uploadBytesPerSecond'
    | 'replicatingMachines'
  >;
  progress(): ItemProgress[];
  /**
   * Resolves when an agent of this BIOS UUID is enrolled and in touch and has these disks.
   * @throws DomainError RemoteFailure at once when its disks don't fit: missing, unreadable, empty, of another size.
   */
  prepare(biosUuid: string, disks: DiskRef[], signal: AbortSignal): Promise<AgentStatus>;
  /**
   * Replicates from now on. Idempotent; survives a restart. Disks of an item that is replicated already may come and go;
   * the cycle that is under way ends with those it began with.
   */
  assign(assignment: Assignment): Promise<void>;
  /** Stops and forgets: data key, spool, state. Idempotent. */
  unassign(protectedItemId: string): Promise<void>;
  /** A point outside the schedule. Resolves when its manifest is in the replica log. */
  createPoint(protectedItemId: string, signal: AbortSignal): Promise<{ pointSequence: number }>;
  /** Has the agent compare the disks in whole with what the replica has, and send what differs. Survives a restart. */
  resynchronize(protectedItemId: string): Promise<{ resyncRequest: number }>;
  /** The check-in that told of this point was accepted; it need not be told again. */
  pointConfirmed(protectedItemId: string, sequence: number): void;
  close(): Promise<void>;
}
