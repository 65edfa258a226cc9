/** The most memory that process server and agent take, for a disk that is large and mostly empty. */
import { mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GiB } from '../shared/bytes.ts';
import { makeMixedImage, rewriteBlocks } from './image.ts';
import { Site, startStorageProcess } from './site.ts';

/**
 * Replicates a sparse disk (2 GiB of mixed content at most, the rest a hole), a cycle without changes and one after
 * 1 % of its blocks was rewritten.
 *
 * @returns the exit code
 */
export async function benchMemory(options: { sizeGiB: number; json: boolean }): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'secondsite-bench-'));
  const path = join(folder, 'disk.raw');
  const sizeBytes = options.sizeGiB * GiB;
  const filledBytes = Math.min(2 * GiB, sizeBytes);
  try {
    makeMixedImage(path, filledBytes);
    truncateSync(path, sizeBytes);
    const storage = await startStorageProcess(folder);
    try {
      const site = await Site.start(folder, storage.connectionString, [{ diskId: 'disk', path, sizeBytes }]);
      try {
        await site.begin();
        await site.point();
        rewriteBlocks(path, filledBytes);
        await site.point();
        say(site.peakMegabytes(), options);
      } finally {
        await site.close();
      }
    } finally {
      await storage.close();
    }
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function say(
  { processServer, agent }: { processServer: number; agent: number },
  { sizeGiB, json }: { sizeGiB: number; json: boolean },
): void {
  const [server, mobility] = [Math.round(processServer), Math.round(agent)];
  process.stdout.write(
    `A disk of ${sizeGiB} GiB: the process server had ${server} MB at most, the agent ${mobility} MB.\n`,
  );
  if (json) process.stdout.write(`${JSON.stringify({ process_server_mb: server, agent_mb: mobility })}\n`);
}
