import { mkdirSync, statfsSync } from 'node:fs';
import { once } from 'node:events';
import type { Server } from 'node:https';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { GiB } from '../../shared/bytes.ts';
import { type CertifiedKey, fingerprintOf } from '../../shared/certificate.ts';
import { BlobReplicaStore } from '../../shared/replica/blob-replica-store.ts';
import { FramePool } from '../../shared/replica/frame-pool.ts';
import type { AgentStatus, ItemProgress } from '../../shared/wire/check-in.ts';
import type { DiskRef } from '../../shared/wire/command.ts';
import { AgentRegistry } from './agent-registry.ts';
import { createAgentServer, showCertificate } from './agent-server.ts';
import { ensureAuthority, renewServer } from './authority.ts';
import type { Assignment, ProcessServer, ProcessServerOptions } from './contract.ts';
import { Enrolment } from './enrolment.ts';
import { ItemBoard } from './item-board.ts';
import { usualLimits } from './item-log.ts';
import { waitForAgent } from './prepare.ts';
import { SpoolStore } from './spool-store.ts';

const spoolLimitBytes = 600 * GiB;

/** Starts a process server: port 9443 for agents, the spool, and the uploads from it. */
export async function startProcessServer(options: ProcessServerOptions): Promise<ProcessServer> {
  mkdirSync(options.dataFolder, { recursive: true, mode: 0o700 });
  const { authority, server: own } = await ensureAuthority(options.dataFolder, options);
  const store = new SpoolStore(join(options.dataFolder, 'process-server.db'));
  const agents = new AgentRegistry(store);
  const pool = new FramePool();
  const board = boardOf(options, { store, agents, pool });
  await board.recover();
  const { passphrase, onEvent } = options;
  const enrolment = new Enrolment({
    authority,
    serverCertificatePem: own.certificatePem,
    passphrase,
    agents,
  });
  const server = createAgentServer({
    authority,
    server: own,
    enrolment,
    agents,
    calls: board,
    onBug,
  });
  const port = await listen(server, options);
  const stopTelling = agents.onEnrolled((agent) => onEvent({ kind: 'agent', agent }));
  return {
    port,
    ...certificatesOf({ options, authority, enrolment, server }),
    agents: (): AgentStatus[] => agents.list(),
    health: () => healthOf(options.dataFolder, board),
    progress: (): ItemProgress[] => board.progress(),
    prepare: (biosUuid: string, disks: DiskRef[], signal: AbortSignal) =>
      waitForAgent(agents, { biosUuid, disks }, signal),
    assign: (assignment: Assignment) => board.assign(assignment),
    unassign: (protectedItemId: string) => board.unassign(protectedItemId),
    createPoint: (protectedItemId: string, signal: AbortSignal) => board.createPoint(protectedItemId, signal),
    resynchronize: (protectedItemId: string) => board.resynchronize(protectedItemId),
    pointConfirmed: (protectedItemId: string, sequence: number) =>
      store.confirmPoint(protectedItemId, sequence),
    close: async () => {
      stopTelling();
      server.close();
      server.closeAllConnections();
      await board.close();
      await pool.close();
      store.close();
    },
  };
}

type Certificates = Pick<
  ProcessServer,
  'caFingerprint' | 'caExpiresAtMs' | 'certificateExpiresAtMs' | 'renewCertificate'
>;

function certificatesOf(parts: {
  options: ProcessServerOptions;
  authority: CertifiedKey;
  enrolment: Enrolment;
  server: Server;
}): Certificates {
  const { options, authority, enrolment } = parts;
  return {
    caFingerprint: fingerprintOf(authority.certificatePem),
    caExpiresAtMs: expiryOf(authority.certificatePem),
    certificateExpiresAtMs: () => expiryOf(enrolment.serverCertificatePem),
    renewCertificate: async () => {
      const made = await renewServer(options.dataFolder, authority, options);
      showCertificate(parts.server, { authority, server: made });
      enrolment.serverCertificatePem = made.certificatePem;
      return { fingerprint: fingerprintOf(made.certificatePem), expiresAtMs: expiryOf(made.certificatePem) };
    },
  };
}

function expiryOf(certificatePem: string): number {
  return new X509Certificate(certificatePem).validToDate.getTime();
}

function boardOf(
  options: ProcessServerOptions,
  parts: { store: SpoolStore; agents: AgentRegistry; pool: FramePool },
): ItemBoard {
  return new ItemBoard({
    ...parts,
    dataFolder: options.dataFolder,
    spoolLimitBytes: options.spoolLimitBytes ?? spoolLimitBytes,
    replicaOf: async (protectedItemId) =>
      new BlobReplicaStore(await options.grant(protectedItemId), options.uploadAgents),
    limits: options.limits ?? usualLimits,
    onEvent: options.onEvent,
    onBug,
  });
}

function onBug(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), 'ProcessServerBug');
}

async function listen(server: Server, { host, port }: ProcessServerOptions): Promise<number> {
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

function healthOf(dataFolder: string, board: ItemBoard): ReturnType<ProcessServer['health']> {
  const { bsize, blocks, bavail } = statfsSync(dataFolder);
  return {
    cacheTotalBytes: bsize * blocks,
    cacheFreeBytes: bsize * bavail,
    ...board.health(),
  };
}
