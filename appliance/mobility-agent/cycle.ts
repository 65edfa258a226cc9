import { setTimeout as delay } from 'node:timers/promises';
import { DomainError, type Fault } from '../../shared/fault.ts';
import {
  agentProtocol,
  CycleAnswer,
  CycleCommitted,
  type AgentWork,
  type Consistency,
  type CycleProgress,
  type CycleRequest,
  type DiskRange,
} from '../../shared/wire/agent.ts';
import type { BlockMap } from './block-map.ts';
import type { Connection } from './connection.ts';
import { shrunkDisk } from '../../shared/wire/shrunk-disk.ts';
import type { DiskSource } from './disk-source.ts';
import type { OpenDisks } from './disks.ts';
import { ExtentSender } from './extent-sender.ts';
import type { ItemState, OpenCycle } from './item-state.ts';
import { captureLive, type LiveCaptured } from './linux/live-capture.ts';
import type { LinuxBlockDevice } from './linux/linux-block-device.ts';
import { confirmHashes, liveDevices, refreshHashes, sinkOf, type LivePolicy } from './live-cycle.ts';

/** Passes over disks that keep changing while they are read, before the point is told to be of no one moment. */
const passesAtMost = 5;
/** How often, and how long each time, a pass waits for the disks' last write to be a moment ago. */
const settlingsAtMost = 4;
const settleMs = 10;

export type AssignedItem = AgentWork['items'][number];

/** What a cycle works with. */
export interface CycleParts {
  connection: Connection;
  item: AssignedItem;
  state: ItemState;
  /** In the order of the item's disks. */
  sources: DiskSource[];
  /** For sources that are devices in use. */
  live: LivePolicy;
  /** While true, nothing of this process may write to a file. */
  onFrozen: (isFrozen: boolean) => void;
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
  /** What it took to have devices in use of one moment. */
  live?: Omit<LiveCaptured, 'capturedAtMs' | 'consistency' | 'changedBytes'>;
}

/** Brings the replica to what the disks hold now, and makes a point of it. Goes on with a cycle that was broken off. */
export async function runCycle(parts: CycleParts): Promise<MadePoint> {
  const { connection, item, state, signal, onStall } = parts;
  const devices = liveDevices(parts.sources);
  const { pointRequest, resyncRequest } = item;
  const disks = parts.sources.map(({ diskId, sizeBytes }) => ({ diskId, sizeBytes }));
  const open = state.openCycle({ pointRequest, resyncRequest, disks });
  const path = `${agentProtocol.path}/items/${item.protectedItemId}/cycles`;
  const body = cycleRequest(open, state);
  const answer = await connection.persist({ path, body, answer: CycleAnswer, signal }, onStall);
  if (answer.state === 'unknownCycle' || answer.state === 'baseMismatch') {
    if (answer.state === 'unknownCycle') state.dropCycle();
    else state.reset();
    return runCycle(parts);
  }
  if (answer.state === 'committed') {
    // The agent was stopped before it heard of it; when exactly that was taken matters little.
    state.commit({ sequence: answer.pointSequence, atMs: Date.now() });
    tellCommitted(devices, open.cycleId);
    return { pointSequence: answer.pointSequence, consistency: undefined, changedBytes: undefined };
  }
  const { lastPoint, lost } = answer;
  const maps = state.workingMaps({ isEmpty: lastPoint === 0, lost });
  try {
    const captured = await (devices
      ? captureDevices({ ...parts, lost }, devices, open, maps)
      : capture(parts, open, maps));
    for (const map of maps) map.flush();
    const { live, ...told } = captured;
    const commit = { ...told, pointRequest: open.pointRequest };
    const { pointSequence } = await connection.persist(
      { path: `${path}/${open.cycleId}/commit`, body: commit, answer: CycleCommitted, signal },
      onStall,
    );
    state.commit({ sequence: pointSequence, atMs: told.capturedAtMs });
    tellCommitted(devices, open.cycleId);
    await refreshHashes(devices ?? [], signal);
    const { consistency, changedBytes } = told;
    return { pointSequence, consistency, changedBytes, ...(live ? { live } : {}) };
  } finally {
    for (const map of maps) map.close();
  }
}

/** From now on the devices follow what changes since that cycle's point. */
function tellCommitted(devices: LinuxBlockDevice[] = [], cycleId: string): void {
  for (const { tracker } of devices) tracker.committed(cycleId);
}

function cycleRequest(open: OpenCycle, { known }: ItemState): CycleRequest {
  return {
    cycleId: open.cycleId,
    resumes: open.bootId !== undefined,
    basePoint: known.basePoint,
    ...(known.baseCycleId === undefined ? {} : { baseCycleId: known.baseCycleId }),
    disks: open.disks,
    resyncRequest: open.resyncRequest,
  };
}

interface Captured {
  capturedAtMs: number;
  consistency: Consistency;
  changedBytes: number;
  live?: MadePoint['live'];
}

/** Compares and sends until a whole pass saw nobody write to the images: then all disks are of one moment. */
async function capture(parts: CycleParts, open: OpenCycle, maps: BlockMap[]): Promise<Captured> {
  let changedBytes = 0;
  for (let pass = 1; ; pass += 1) {
    const stamps = await settledStamps(parts);
    const capturedAtMs = Date.now();
    changedBytes += await sendChanges(parts, open.cycleId, maps);
    const isQuiet = parts.sources.every((source, index) => source.stamp() === stamps[index]);
    if (isQuiet) return { capturedAtMs, consistency: 'CrashConsistent', changedBytes };
    if (pass >= passesAtMost) return { capturedAtMs, consistency: 'NotConsistent', changedBytes };
  }
}

/** What the disks' stamps are a moment after the last write, or while the writing does not end. */
async function settledStamps({ sources, signal }: CycleParts): Promise<string[]> {
  for (let attempt = 1; ; attempt += 1) {
    const stamps = sources.map((source) => source.stamp());
    const isSettled = sources.every((source, index) => source.stamp() === stamps[index]);
    if (isSettled || attempt >= settlingsAtMost) return stamps;
    await delay(settleMs, undefined, { signal });
  }
}

/** Brings the replica to one moment of devices that are in use. */
async function captureDevices(
  parts: CycleParts & { lost: readonly DiskRange[] },
  devices: LinuxBlockDevice[],
  open: OpenCycle,
  maps: BlockMap[],
): Promise<Captured> {
  const { live: policy, onFrozen, onProgress } = parts;
  const { known } = parts.state;
  const { sender, progress, signal } = startSending(parts, open.cycleId);
  const captured = await captureLive({
    devices,
    cycleId: open.cycleId,
    base: open.resyncRequest > known.answeredResync ? undefined : known.baseCycleId,
    lost: parts.lost,
    known: (at, offsetBytes, lengthBytes) => mapOf(maps, at).read(offsetBytes, lengthBytes),
    sink: sinkOf(sender, devices, maps),
    ...(policy.hooks ? { hooks: policy.hooks } : {}),
    freezeLimitMs: policy.freezeLimitMs,
    whenNotConsistent: policy.whenNotConsistent,
    onProgress: (at, processedBytes) => {
      const disk = progress.disks[at];
      if (disk) disk.processedBytes = processedBytes;
      onProgress(progress);
    },
    onFrozen,
    signal,
  });
  const { capturedAtMs, consistency, changedBytes, ...live } = captured;
  if (consistency !== 'NotConsistent') confirmHashes(devices, maps);
  return { capturedAtMs, consistency, changedBytes, live };
}

async function sendChanges(parts: CycleParts, cycleId: string, maps: BlockMap[]): Promise<number> {
  const { sender, progress, signal } = startSending(parts, cycleId);
  let changedBytes = 0;
  for (const [diskIndex, source] of parts.sources.entries()) {
    const map = mapOf(maps, diskIndex);
    for await (const piece of source.compare((offset, length) => map.read(offset, length), signal)) {
      changedBytes += piece.runs.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
      const disk = progress.disks[diskIndex];
      if (disk) disk.processedBytes = piece.offsetBytes + piece.lengthBytes;
      await sender.send(diskIndex, piece, map);
      parts.onProgress(progress);
    }
  }
  await sender.flush();
  return changedBytes;
}

/** A sender for the cycle, what it tells of the progress, and a signal that says too when it failed. */
function startSending(
  parts: CycleParts,
  cycleId: string,
): { sender: ExtentSender; progress: CycleProgress; signal: AbortSignal } {
  const { connection, item, sources, onStall } = parts;
  const progress: CycleProgress = {
    disks: sources.map(({ diskId, sizeBytes }) => ({ diskId, totalBytes: sizeBytes, processedBytes: 0 })),
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
  return { sender, progress, signal };
}

function mapOf(maps: readonly BlockMap[], diskIndex: number): BlockMap {
  const map = maps[diskIndex];
  if (!map) throw new Error(`Disk ${diskIndex} of the item has no map.`);
  return map;
}

/**
 * The item's disks as sources. One that has grown is taken as it is.
 *
 * @throws DomainError RemoteFailure when a disk is not among the agent's or can't be used; NotSupported when it has shrunk
 */
export function sourcesOf(item: AssignedItem, { reports, sources }: OpenDisks): DiskSource[] {
  return item.disks.map(({ diskId, sizeBytes }) => {
    const source = sources.get(diskId);
    if (source && source.sizeBytes >= sizeBytes) return source;
    const fault = reports.find((report) => report.diskId === diskId)?.fault;
    if (fault) throw new DomainError({ ...fault, target: diskId });
    if (source) throw shrunkDisk(source, sizeBytes);
    throw new DomainError({
      code: 'RemoteFailure',
      message: `The disk ${diskId} is protected, and this agent was started without it.`,
      target: diskId,
      recommendedAction:
        "Start the agent with '--disk ID=PATH' for every protected disk, or remove the disk from the replication.",
    });
  });
}
