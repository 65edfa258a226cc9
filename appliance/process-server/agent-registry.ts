import { isDeepStrictEqual } from 'node:util';
import type { AgentDisk, AgentMachine, AgentReport } from '../../shared/wire/agent.ts';
import type { AgentStatus } from '../../shared/wire/check-in.ts';
import type { DiskRef } from '../../shared/wire/command.ts';
import type { SpoolStore } from './spool-store.ts';

/** An enrolled agent and what it said last. What it says is kept in memory only: it says it again within the minute. */
interface KnownAgent {
  biosUuid: string;
  serialNumber: string;
  machine: AgentMachine;
  ipAddress: string;
  lastHeartbeatMs: number;
  disks: AgentDisk[];
  /** It tells of wanted disks by itself. */
  looksForDisks: boolean;
}

/** The agents that may talk to this process server, by BIOS UUID. */
export class AgentRegistry {
  readonly #store: SpoolStore;
  readonly #agents = new Map<string, KnownAgent>();
  readonly #listeners = new Set<() => void>();
  readonly #wishes = new Set<{ biosUuid: string; disks: readonly DiskRef[] }>();
  readonly #wishListeners = new Set<() => void>();
  readonly #enrolled = new Set<(agent: AgentStatus) => void>();

  constructor(store: SpoolStore) {
    this.#store = store;
    store.database.exec(`CREATE TABLE IF NOT EXISTS agent (
      biosUuid TEXT PRIMARY KEY, serialNumber TEXT NOT NULL, machine TEXT NOT NULL,
      ipAddress TEXT NOT NULL, lastHeartbeatMs INTEGER NOT NULL)`);
    for (const row of store.database.prepare('SELECT * FROM agent').all()) {
      const biosUuid = String(row['biosUuid']);
      this.#agents.set(biosUuid, {
        biosUuid,
        serialNumber: String(row['serialNumber']),
        machine: JSON.parse(String(row['machine'])) as AgentMachine, // written by this class only
        ipAddress: String(row['ipAddress']),
        lastHeartbeatMs: Number(row['lastHeartbeatMs']),
        disks: [],
        looksForDisks: false,
      });
    }
  }

  /** Lets the machine in with this certificate; one that it had before no longer counts. Resolves when that is durable. */
  async enrol(agent: {
    biosUuid: string;
    serialNumber: string;
    machine: AgentMachine;
    ipAddress: string;
  }): Promise<AgentStatus> {
    const known: KnownAgent = { ...agent, lastHeartbeatMs: Date.now(), disks: [], looksForDisks: false };
    this.#store
      .write('INSERT OR REPLACE INTO agent VALUES (?, ?, ?, ?, ?)')
      .run(
        known.biosUuid,
        known.serialNumber,
        JSON.stringify(known.machine),
        known.ipAddress,
        known.lastHeartbeatMs,
      );
    await this.#store.durable();
    this.#agents.set(known.biosUuid, known);
    this.#changed();
    for (const listener of this.#enrolled) listener(statusOf(known));
    return statusOf(known);
  }

  /** Whether this is the certificate that the machine enrolled with last. */
  accepts(biosUuid: string, serialNumber: string): boolean {
    return this.#agents.get(biosUuid)?.serialNumber.toUpperCase() === serialNumber.toUpperCase();
  }

  heard(biosUuid: string, report: AgentReport, ipAddress: string): void {
    const agent = this.#agents.get(biosUuid);
    if (!agent) return;
    const isNews = !isDeepStrictEqual(agent.disks, report.disks);
    agent.machine = report.machine;
    agent.disks = report.disks;
    agent.looksForDisks = report.looksForDisks === true;
    agent.ipAddress = ipAddress;
    agent.lastHeartbeatMs = Date.now();
    this.#changed();
    if (isNews) for (const listener of this.#enrolled) listener(statusOf(agent));
  }

  find(biosUuid: string): { status: AgentStatus; disks: AgentDisk[]; looksForDisks: boolean } | undefined {
    const agent = this.#agents.get(biosUuid);
    return agent && { status: statusOf(agent), disks: agent.disks, looksForDisks: agent.looksForDisks };
  }

  /** Asks the machine's agent for these disks until that is taken back. */
  want(biosUuid: string, disks: readonly DiskRef[]): () => void {
    const wish = { biosUuid, disks };
    this.#wishes.add(wish);
    for (const listener of this.#wishListeners) listener();
    return () => this.#wishes.delete(wish);
  }

  /** What the machine's agent is asked for. */
  wanted(biosUuid: string): DiskRef[] {
    const disks = [...this.#wishes]
      .filter((wish) => wish.biosUuid === biosUuid)
      .flatMap((wish) => wish.disks);
    return [...new Map(disks.map((disk) => [disk.diskId, disk])).values()];
  }

  /** Calls back when disks are newly wanted of an agent. */
  onWish(listener: () => void): void {
    this.#wishListeners.add(listener);
  }

  list(): AgentStatus[] {
    return [...this.#agents.values()].map(statusOf);
  }

  /** Calls back when an agent enrolled or told other disks than before; returns how to stop that. */
  onEnrolled(listener: (agent: AgentStatus) => void): () => void {
    this.#enrolled.add(listener);
    return () => this.#enrolled.delete(listener);
  }

  /** Calls back after every change; returns how to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

function statusOf(agent: KnownAgent): AgentStatus {
  const { hardware } = agent.machine;
  return {
    ...(hardware && { hardware }),
    ...(agent.disks.length > 0 && { disks: readableDisks(agent.disks) }),
    biosUuid: agent.biosUuid,
    hostName: agent.machine.hostName,
    osName: agent.machine.osName,
    version: agent.machine.version,
    ipAddress: agent.ipAddress,
    lastHeartbeatMs: agent.lastHeartbeatMs,
  };
}

function readableDisks(disks: readonly AgentDisk[]): AgentStatus['disks'] {
  return disks.flatMap(({ diskId, sizeBytes = 0, sectorBytes, fault }) =>
    fault !== undefined || sizeBytes === 0
      ? []
      : [{ diskId, sizeBytes, ...(sectorBytes !== undefined && { sectorBytes }) }],
  );
}
