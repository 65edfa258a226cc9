/** What is measured: storage, a process server and a mobility agent, each a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
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

export type Cycle = 'initial' | 'unchanged' | 'delta';

/** A raw disk image. */
export interface Image {
  path: string;
  sizeBytes: number;
}

/** A process server and a mobility agent that waits for work, each a process. */
export class Site {
  readonly #server: ServerProcess;
  readonly #agent: AgentProcess;
  readonly #item: Item;

  private constructor(server: ServerProcess, agent: AgentProcess, item: Item) {
    this.#server = server;
    this.#agent = agent;
    this.#item = item;
  }

  static async start(folder: string, connectionString: string, image: Image): Promise<Site> {
    const item = await createItem(connectionString, [{ diskId: 'disk', sizeBytes: image.sizeBytes }]);
    const server = await ServerProcess.start(serverSettings(folder, connectionString));
    const dataFolder = join(folder, 'agent');
    await enrolAgent(dataFolder, item.biosUuid, server.port);
    const agent = new AgentProcess(dataFolder, { disk: image.path });
    await agent.line(({ kind }) => kind === 'connected');
    return new Site(server, agent, item);
  }

  /** One cycle, from asking for the point until its manifest is in the storage. */
  async cycle(cycle: Cycle): Promise<{ seconds: number; bytes: number }> {
    const { protectedItemId } = this.#item;
    const startedAtMs = performance.now();
    let sequence = 1;
    if (cycle === 'initial') await assign(this.#server, this.#item);
    else sequence = await this.#server.createPoint(protectedItemId);
    await this.#server.untilPoint(protectedItemId, sequence);
    const seconds = (performance.now() - startedAtMs) / 1_000;
    return { seconds, bytes: this.#server.uploadedBytes(protectedItemId, sequence) };
  }

  /** The most memory that each had so far. */
  peakMegabytes(): { processServer: number; agent: number } {
    return {
      processServer: peakMegabytes(this.#server.processId),
      agent: peakMegabytes(this.#agent.processId),
    };
  }

  async close(): Promise<void> {
    await this.#agent.stop();
    await this.#server.close();
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
