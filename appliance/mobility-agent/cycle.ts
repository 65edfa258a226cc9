import { DomainError } from '../../shared/fault.ts';
import {
  agentProtocol,
  CycleAnswer,
  CycleCommitted,
  type AgentWork,
  type Consistency,
  type CycleProgress,
} from '../../shared/wire/agent.ts';
import type { BlockMap } from './block-map.ts';
import type { Connection } from './connection.ts';
import type { DiskSource } from './disk-source.ts';
import { ExtentSender } from './extent-sender.ts';
import type { ItemState } from './item-state.ts';

/** Passes over disks that keep changing while they are read, before the point is told to be of no one moment. */
const passesAtMost = 5;

export type AssignedItem = AgentWork['items'][number];

/** What a cycle works with. `sources` are in the order of the item's disks. */
export interface CycleParts {
  connection: Connection;
  item: AssignedItem;
  state: ItemState;
  sources: DiskSource[];
  signal: AbortSignal;
}

/** Brings the replica to what the disks hold now, and makes a point of it. Goes on with a cycle that was broken off. */
export async function runCycle(parts: CycleParts): Promise<{ pointSequence: number }> {
  const { connection, item, state, signal } = parts;
  const open = state.open ?? state.openCycle(item.pointRequest);
  const path = `${agentProtocol.path}/items/${item.protectedItemId}/cycles`;
  const answer = await connection.post({
    path,
    body: { cycleId: open.cycleId, basePoint: open.basePoint, disks: item.disks },
    answer: CycleAnswer,
    signal,
  });
  if (answer.state === 'baseMismatch') {
    state.reset();
    return runCycle(parts);
  }
  if (answer.state === 'committed') {
    state.commit(item.disks, { sequence: answer.pointSequence, atMs: Date.now() });
    return { pointSequence: answer.pointSequence };
  }
  const maps = state.workingMaps(item.disks, answer.lastPoint === 0);
  try {
    const captured = await capture(parts, open.cycleId, maps);
    for (const map of maps) map.flush();
    const { pointSequence } = await connection.post({
      path: `${path}/${open.cycleId}/commit`,
      body: { ...captured, pointRequest: open.pointRequest },
      answer: CycleCommitted,
      signal,
    });
    state.commit(item.disks, { sequence: pointSequence, atMs: captured.capturedAtMs });
    return { pointSequence };
  } finally {
    for (const map of maps) map.close();
  }
}

interface Captured {
  capturedAtMs: number;
  consistency: Consistency;
  changedBytes: number;
}

/** Compares and sends until a whole pass saw nobody write to the images: then all disks are of one moment. */
async function capture(parts: CycleParts, cycleId: string, maps: BlockMap[]): Promise<Captured> {
  let changedBytes = 0;
  for (let pass = 1; ; pass += 1) {
    const stamps = parts.sources.map((source) => source.stamp());
    const capturedAtMs = Date.now();
    changedBytes += await sendChanges(parts, cycleId, maps);
    const isQuiet = parts.sources.every((source, index) => source.stamp() === stamps[index]);
    if (isQuiet) return { capturedAtMs, consistency: 'CrashConsistent', changedBytes };
    if (pass >= passesAtMost) return { capturedAtMs, consistency: 'NotConsistent', changedBytes };
  }
}

async function sendChanges(parts: CycleParts, cycleId: string, maps: BlockMap[]): Promise<number> {
  const { connection, item, sources, signal } = parts;
  const progress: CycleProgress = {
    disks: item.disks.map(({ diskId, sizeBytes }) => ({ diskId, totalBytes: sizeBytes, processedBytes: 0 })),
  };
  const sender = new ExtentSender({
    connection,
    protectedItemId: item.protectedItemId,
    cycleId,
    progress: () => progress,
    signal,
  });
  let changedBytes = 0;
  for (const [diskIndex, source] of sources.entries()) {
    const map = maps[diskIndex];
    const disk = progress.disks[diskIndex];
    if (!map || !disk) throw new Error(`Disk ${diskIndex} of the item has no map.`);
    for await (const piece of source.compare((offset, length) => map.read(offset, length), signal)) {
      changedBytes += piece.runs.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
      disk.processedBytes = piece.offsetBytes + piece.lengthBytes;
      await sender.send(diskIndex, piece, map);
    }
  }
  await sender.flush();
  return changedBytes;
}

/** @throws DomainError RemoteFailure when a disk that the item has is not among the agent's, or has another size */
export function sourcesOf(item: AssignedItem, sources: ReadonlyMap<string, DiskSource>): DiskSource[] {
  return item.disks.map(({ diskId, sizeBytes }) => {
    const source = sources.get(diskId);
    if (source?.sizeBytes === sizeBytes) return source;
    throw new DomainError({
      code: 'RemoteFailure',
      message: source
        ? `The disk ${diskId} (${source.path}) has ${source.sizeBytes} bytes; it was protected with ${sizeBytes}.`
        : `The disk ${diskId} is protected, and this agent was started without it.`,
      target: diskId,
      recommendedAction:
        "Start the agent with '--disk ID=PATH' for every protected disk, at its protected size.",
    });
  });
}
