/** What is measured: storage, a process server and a mobility agent, each a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { connectionStringOf, ensureAccount, type StoragePorts } from '../local/storage/account.ts';
import {
  AgentProcess,
  assign,
  createItem,
  enrolAgent,
  peakMegabytes,
  ServerProcess,
  serverSettings,
  type Item,
} from '../test/fixtures/process-server/site.ts';

/** The kernel counts processor time in these (USER_HZ). */
const ticksPerSecond = 100;

/** A disk or image that a bench replicates. */
export interface BenchDisk {
  diskId: string;
  path: string;
  sizeBytes: number;
}

/** What a point took. */
export interface PointTaken {
  /** From asking for it until its manifest is in the storage. */
  seconds: number;
  /** Uploaded for it. */
  bytes: number;
  sequence: number;
}

/** A process server and a mobility agent, each a process, with one protected item. */
export class Site {
  readonly item: Item;
  readonly agent: AgentProcess;
  readonly #server: ServerProcess;

  private constructor(server: ServerProcess, agent: AgentProcess, item: Item) {
    this.#server = server;
    this.agent = agent;
    this.item = item;
  }

  /** The agent waits for work. */
  static async start(folder: string, connectionString: string, disks: readonly BenchDisk[]): Promise<Site> {
    const item = await createItem(
      connectionString,
      disks.map(({ diskId, sizeBytes }) => ({ diskId, sizeBytes })),
    );
    const server = await ServerProcess.start(serverSettings(folder, connectionString));
    const dataFolder = join(folder, 'agent');
    await enrolAgent(dataFolder, item.biosUuid, server.port);
    const paths = Object.fromEntries(disks.map(({ diskId, path }) => [diskId, path]));
    const agent = new AgentProcess(dataFolder, paths);
    await agent.line(({ kind }) => kind === 'connected');
    return new Site(server, agent, item);
  }

  /** The initial replication. */
  begin(): Promise<PointTaken> {
    return this.#until(async () => {
      await assign(this.#server, this.item);
      return 1;
    });
  }

  /** Another point. */
  point(): Promise<PointTaken> {
    return this.#until(() => this.#server.createPoint(this.item.protectedItemId));
  }

  /** The most memory that each had so far. */
  peakMegabytes(): { processServer: number; agent: number } {
    return {
      processServer: peakMegabytes(this.#server.processId),
      agent: peakMegabytes(this.agent.processId),
    };
  }

  /** Processor time that the agent, what it started and the process server have used. */
  processorSeconds(): number {
    return processorSeconds(this.agent.processId) + processorSeconds(this.#server.processId);
  }

  async close(): Promise<void> {
    await this.agent.stop();
    await this.#server.close();
  }

  async #until(ask: () => Promise<number>): Promise<PointTaken> {
    const { protectedItemId } = this.item;
    const startedAtMs = performance.now();
    const sequence = await ask();
    await this.#server.untilPoint(protectedItemId, sequence);
    const seconds = (performance.now() - startedAtMs) / 1_000;
    return { seconds, bytes: this.#server.uploadedBytes(protectedItemId, sequence), sequence };
  }
}

/** Azurite on disk, in a process of its own. */
export async function startStorageProcess(
  folder: string,
): Promise<{ connectionString: string; close: () => Promise<void> }> {
  const main = fileURLToPath(new URL('../local/storage/main.ts', import.meta.url));
  const dataFolder = join(folder, 'storage');
  const child: ChildProcess = spawn(process.execPath, [main, '--data-folder', dataFolder], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  if (!child.stdout) throw new Error('The storage process has no output.');
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { ports } = JSON.parse(line) as { ports: StoragePorts };
  return {
    connectionString: connectionStringOf(ensureAccount(dataFolder), ports),
    close: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** utime, stime, cutime and cstime of proc(5). */
function processorSeconds(processId: number): number {
  const stat = readFileSync(`/proc/${processId}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / ticksPerSecond;
}
