import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { Fault } from '../../shared/fault.ts';
import { writeSecretFile } from '../../shared/secret-file.ts';
import { AgentDisk } from '../../shared/wire/agent.ts';

const statusFile = 'status.json';

/** Where an item's replication stands, as its agent sees it. */
const ItemStanding = z.object({
  protectedItemId: z.guid(),
  /** Points that this agent made. */
  points: z.number().int().nonnegative(),
  /** Absent until there is one. */
  lastPoint: z.number().int().positive().optional(),
  lastPointAtMs: z.number().optional(),
  /** Present while a point is being made. */
  cycle: z.object({ processedBytes: z.number(), totalBytes: z.number() }).optional(),
  /** What the last point took that was made of devices in use. */
  live: z
    .object({
      /** Rounds of copying before the freeze. */
      rounds: z.number(),
      /** What was left for the freeze. */
      restBytes: z.number(),
      frozenMs: z.number(),
      unfreezable: z.array(z.string()),
      compared: z.string().optional(),
      hookFailure: z.string().optional(),
    })
    .optional(),
  /** Why it stands still. */
  fault: Fault.optional(),
});
export type ItemStanding = z.infer<typeof ItemStanding>;

const AgentStatusFile = z.object({
  processId: z.number().int(),
  version: z.string(),
  biosUuid: z.guid(),
  server: z.string(),
  /** Why the process server can't be reached, or does not let the agent in. */
  serverFault: Fault.optional(),
  /** When this process reached the process server; absent until it did. */
  connectedAtMs: z.number().optional(),
  disks: z.array(AgentDisk.extend({ path: z.string() })),
  items: z.array(ItemStanding),
});
export type AgentStatusFile = z.infer<typeof AgentStatusFile>;

/** Leaves word for `secondsite agent status`; a reader sees the old word or the new one. */
export function writeStatus(dataFolder: string, status: AgentStatusFile): void {
  writeSecretFile(join(dataFolder, statusFile), JSON.stringify(status));
}

/** The running agent's last word, or that of one that ran here before; undefined when none did. */
export function findStatus(dataFolder: string): AgentStatusFile | undefined {
  try {
    return AgentStatusFile.parse(JSON.parse(readFileSync(join(dataFolder, statusFile), 'utf8')));
  } catch {
    return undefined; // not there, or of another version
  }
}

/** The status as a person reads it. */
export function describeStatus(status: AgentStatusFile, running: boolean): string {
  const { biosUuid, server, serverFault, disks, items } = status;
  const lines = [
    `Mobility agent ${status.version} of the machine ${biosUuid}`,
    running ? `  runs (process ${status.processId})` : '  does not run',
    `  process server ${server}${serverFault ? `: ${serverFault.message}` : ''}`,
    ...disks.map(({ diskId, path, sizeBytes, fault }) =>
      fault ? `  disk ${diskId}: ${fault.message}` : `  disk ${diskId} at ${path}: ${sizeBytes} bytes`,
    ),
    ...items.flatMap(describeItem),
  ];
  if (items.length === 0) lines.push('  Nothing of this machine is protected yet.');
  return lines.join('\n');
}

function describeItem(item: ItemStanding): string[] {
  const { protectedItemId, points, lastPoint, lastPointAtMs, cycle, live, fault } = item;
  const last =
    lastPoint === undefined
      ? 'no point yet'
      : `point ${lastPoint} of ${new Date(lastPointAtMs ?? 0).toISOString()}, ${points} made here`;
  const lines = [`  item ${protectedItemId}: ${last}`];
  if (cycle) {
    const percent = Math.floor((cycle.processedBytes / cycle.totalBytes) * 100);
    lines.push(`    making a point: ${percent} % of ${cycle.totalBytes} bytes`);
  }
  if (live) {
    const { rounds, restBytes, frozenMs, compared, hookFailure } = live;
    lines.push(
      `    frozen for ${frozenMs.toFixed(0)} ms with ${restBytes} bytes left after ${rounds} rounds`,
    );
    if (compared !== undefined) lines.push(`    compared in whole: ${compared}`);
    if (hookFailure !== undefined) lines.push(`    ${hookFailure}`);
  }
  if (fault) lines.push(`    stands still: ${fault.message}`);
  if (fault?.recommendedAction !== undefined) lines.push(`    ${fault.recommendedAction}`);
  return lines;
}
