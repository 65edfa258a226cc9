import { DomainError, type Fault } from '../../shared/fault.ts';
import {
  agentProtocol,
  CycleAnswer,
  CycleCommitted,
  type AgentWork,
  type Consistency,
  type CycleProgress,
  type CycleRequest,
} from '../../shared/wire/agent.ts';
import type { BlockMap } from './block-map.ts';
import type { Connection } from './connection.ts';
import type { DiskSource } from './disk-source.ts';
import { ExtentSender } from './extent-sender.ts';
import type { ItemState, OpenCycle } from './item-state.ts';

/** Passes over disks that keep changing while they are read, before the point is told to be of no one moment. */
const passesAtMost = 5;

export type AssignedItem = AgentWork['items'][number];

/** What a cycle works with. */
export interface CycleParts {
  connection: Connection;
  item: AssignedItem;
  state: ItemState;
  /** In the order of the item's disks. */
  sources: DiskSource[];
  /** How far the compare is; called often. */
  onProgress: (progress: CycleProgress) => void;
  /** Why the cycle stands still; undefined when it goes on. */
  onStall: (fault: Fault | undefined) => void;
  signal: AbortSignal;
}

/** A point that a cycle made. */
export interface MadePoint {
  pointSequence: number;
  consistency: Consistency | undefined;
  changedBytes: number | undefined;
}

/** Brings the replica to what the disks hold now, and makes a point of it. Goes on with a cycle that was broken off. */
export async function runCycle(parts: CycleParts): Promise<MadePoint> {
  const { connection, item, state, signal, onStall } = parts;
  const open = state.openCycle(item.pointRequest);
  const path = `${agentProtocol.path}/items/${item.protectedItemId}/cycles`;
  const body = cycleRequest(item, open, state);
  const answer = await connection.persist({ path, body, answer: CycleAnswer, signal }, onStall);
  if (answer.state === 'unknownCycle' || answer.state === 'baseMismatch') {
    if (answer.state === 'unknownCycle') state.dropCycle();
    else state.reset();
    return runCycle(parts);
  }
  if (answer.state === 'committed') {
    // The agent was stopped before it heard of it; when exactly that was taken matters little.
    state.commit({ sequence: answer.pointSequence, atMs: Date.now() });
    return { pointSequence: answer.pointSequence, consistency: undefined, changedBytes: undefined };
  }
  const maps = state.workingMaps(item.disks, answer.lastPoint === 0);
  try {
    const captured = await capture(parts, open, maps);
    for (const map of maps) map.flush();
    const commit = { ...captured, pointRequest: open.pointRequest };
    const { pointSequence } = await connection.persist(
      { path: `${path}/${open.cycleId}/commit`, body: commit, answer: CycleCommitted, signal },
      onStall,
    );
    state.commit({ sequence: pointSequence, atMs: captured.capturedAtMs });
    return { pointSequence, consistency: captured.consistency, changedBytes: captured.changedBytes };
  } finally {
    for (const map of maps) map.close();
  }
}

function cycleRequest(item: AssignedItem, open: OpenCycle, { known }: ItemState): CycleRequest {
  return {
    cycleId: open.cycleId,
    resumes: open.bootId !== undefined,
    basePoint: known.basePoint,
    ...(known.baseCycleId === undefined ? {} : { baseCycleId: known.baseCycleId }),
    disks: item.disks,
  };
}

interface Captured {
  capturedAtMs: number;
  consistency: Consistency;
  changedBytes: number;
}

/** Compares and sends until a whole pass saw nobody write to the images: then all disks are of one moment. */
async function capture(parts: CycleParts, open: OpenCycle, maps: BlockMap[]): Promise<Captured> {
  let changedBytes = 0;
  for (let pass = 1; ; pass += 1) {
    const stamps = parts.sources.map((source) => source.stamp());
    const capturedAtMs = Date.now();
    changedBytes += await sendChanges(parts, open.cycleId, maps);
    const isQuiet = parts.sources.every((source, index) => source.stamp() === stamps[index]);
    if (isQuiet) return { capturedAtMs, consistency: 'CrashConsistent', changedBytes };
    if (pass >= passesAtMost) return { capturedAtMs, consistency: 'NotConsistent', changedBytes };
  }
}

async function sendChanges(parts: CycleParts, cycleId: string, maps: BlockMap[]): Promise<number> {
  const { connection, item, sources, onProgress, onStall } = parts;
  const progress: CycleProgress = {
    disks: item.disks.map(({ diskId, sizeBytes }) => ({ diskId, totalBytes: sizeBytes, processedBytes: 0 })),
  };
  const failed = new AbortController();
  const signal = AbortSignal.any([parts.signal, failed.signal]);
  const sender = new ExtentSender({
    connection,
    protectedItemId: item.protectedItemId,
    cycleId,
    progress: () => progress,
    onStall,
    onFailure: (error) => failed.abort(error),
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
      onProgress(progress);
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
        : `The disk ${diskId} is protected, and this agent has no usable path for it.`,
      target: diskId,
      recommendedAction:
        "Start the agent with '--disk ID=PATH' for every protected disk, at its protected size.",
    });
  });
}
