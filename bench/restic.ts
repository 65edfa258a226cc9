/** restic, through rclone, into a container of the same storage. Both come from Debian. */
import {
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
  type BlobServiceClient,
  type StorageSharedKeyCredential,
} from '@azure/storage-blob';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { z } from 'zod';

const Summary = z.object({ message_type: z.literal('summary'), data_added: z.number() });

/** Says which of restic and rclone are missing, with what to do; undefined when both are there. */
export function findMissingTools(): string | undefined {
  const missing = ['restic', 'rclone'].filter((tool) => spawnSync(tool, ['version']).status !== 0);
  if (missing.length === 0) return undefined;
  return `${missing.join(' and ')} can not be run, and the benchmark compares with both. Install them: apt-get install restic rclone`;
}

/** A restic repository of its own. */
export class Restic {
  readonly #environment: Record<string, string>;

  private constructor(environment: Record<string, string>) {
    this.#environment = environment;
  }

  static async create(folder: string, service: BlobServiceClient, name: string): Promise<Restic> {
    const container = service.getContainerClient(name);
    await container.create();
    const sas = generateBlobSASQueryParameters(
      {
        containerName: name,
        permissions: ContainerSASPermissions.parse('racwdl'),
        expiresOn: new Date(Date.now() + 24 * 3_600_000),
      },
      service.credential as StorageSharedKeyCredential, // made of a connection string with a key
    );
    const restic = new Restic({
      RCLONE_CONFIG: join(folder, 'rclone.conf'),
      RCLONE_CONFIG_BENCH_TYPE: 'azureblob',
      RCLONE_CONFIG_BENCH_SAS_URL: `${container.url}?${sas.toString()}`,
      RESTIC_REPOSITORY: `rclone:bench:${name}`,
      RESTIC_PASSWORD: 'benchmark',
      RESTIC_CACHE_DIR: join(folder, `cache-${name}`),
    });
    await restic.#run(['init']);
    return restic;
  }

  /** Backs the file up. @param everything reads it whole even when its times say that it is as before */
  async backUp(path: string, everything: boolean): Promise<{ seconds: number; bytes: number }> {
    const startedAtMs = performance.now();
    const out = await this.#run(['backup', '--json', ...(everything ? ['--force'] : []), path]);
    const seconds = (performance.now() - startedAtMs) / 1_000;
    const summary = out
      .trim()
      .split('\n')
      .map((line) => Summary.safeParse(JSON.parse(line)))
      .find(({ success }) => success);
    return { seconds, bytes: summary?.data?.data_added ?? Number.NaN };
  }

  /** Restores the newest snapshot below a folder. Gives the seconds it took. */
  async restore(folder: string): Promise<number> {
    const startedAtMs = performance.now();
    await this.#run(['restore', 'latest', '--target', folder]);
    return (performance.now() - startedAtMs) / 1_000;
  }

  async #run(options: string[]): Promise<string> {
    const child = spawn('restic', options, {
      env: { ...process.env, ...this.#environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    await once(child, 'close');
    if (child.exitCode !== 0) throw new Error(`restic ${options[0]} failed: ${err}`);
    return out;
  }
}
