/**
 * One moment of several disks that are being written to. What changed is copied in rounds while the machine works, until
 * little is left; then the file systems are frozen, the rest is copied into memory, and they are thawed. The moment holds
 * because no write completed from before the last reading until after it: the kernel's trace says so, whoever wrote.
 */
import { MiB } from '../../../shared/bytes.ts';
import { DomainError } from '../../../shared/fault.ts';
import type { Consistency, DiskRange } from '../../../shared/wire/agent.ts';
import type { Piece } from '../disk-source.ts';
import { DirtyMap } from './dirty-map.ts';
import { Freezer, syncFileSystems } from './freezer.ts';
import type { Hooks } from './hooks.ts';
import type { LinuxBlockDevice } from './linux-block-device.ts';
import { copyExtents, copyRest, RestTooLarge, type Rest } from './live-copy.ts';
import { mountPointsOn, refuseNestedLoops } from './mounts.ts';
import { TrackingLost } from './write-tracker.ts';

/** Less than this is left to the freeze. */
const littleBytes = 4 * MiB;
/** A round that leaves more than this part of what it found is the last. */
const shrinksTo = 0.7;
const roundsAtMost = 12;
/** Part of the limit in which the rest must have been read, so that thawing comes in time. */
const readsOfLimit = 0.8;
const momentsAtMost = 3;
const comparesAtMost = 3;

/** Where copied pieces go. */
export interface PieceSink {
  /**
   * Takes a piece of a disk and releases it when its bytes are no longer needed. Pieces without hashes begin at any page,
   * and what was known of their blocks is to be forgotten.
   */
  send(diskIndex: number, piece: Piece): Promise<void>;
  /** Resolves when everything given has arrived; what is sent afterwards is newer. */
  flush(): Promise<void>;
}

/** What a live capture works with. */
export interface LiveCaptureParts {
  /** In the order of the item's disks. */
  devices: readonly LinuxBlockDevice[];
  cycleId: string;
  /** The cycle whose point the replica stands at. */
  base: string | undefined;
  /** What the replica has no longer, though it was sent. */
  lost?: readonly DiskRange[];
  /** Hashes of what the replica has, for a full compare. */
  known: (diskIndex: number, offsetBytes: number, lengthBytes: number) => Uint8Array;
  sink: PieceSink;
  /** Scripts to run around the freeze, when the point is to be consistent for applications. */
  hooks?: Hooks;
  /** How long file systems may be frozen. */
  freezeLimitMs: number;
  /** What to do when disks can't be had of one moment: mark the point, or make none. */
  whenNotConsistent: 'mark' | 'refuse';
  /** How far a full compare is. */
  onProgress: (diskIndex: number, processedBytes: number) => void;
  /** While true, nothing of this process may write to a file. */
  onFrozen: (isFrozen: boolean) => void;
  signal: AbortSignal;
}

/** What was captured, and what it cost. */
export interface LiveCaptured {
  capturedAtMs: number;
  consistency: Consistency;
  changedBytes: number;
  /** Rounds of copying before the freeze. */
  rounds: number;
  /** What was left for the freeze. */
  restBytes: number;
  /** From the order to freeze until everything was thawed. */
  frozenMs: number;
  /** File systems that can't be frozen. */
  unfreezable: string[];
  /** Why the disks were compared in whole; absent when they were not. */
  compared?: string;
  /** Why the point is not consistent for applications though that was wanted. */
  hookFailure?: string;
}

interface Tally {
  changedBytes: number;
  rounds: number;
  compared: string | undefined;
}

/**
 * Brings the replica to what the disks hold at one moment. When it returns everything has arrived; then commit, and tell
 * each device's tracker. When it throws, nothing is lost: the cycle can be gone on with.
 *
 * @throws DomainError RemoteFailure when no such moment could be had, or the signal's reason
 */
export async function captureLive(parts: LiveCaptureParts): Promise<LiveCaptured> {
  const tally: Tally = { changedBytes: 0, rounds: 0, compared: undefined };
  refuseNestedLoops(parts.devices.map(({ device }) => device));
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await attemptCapture(parts, tally);
    } catch (error) {
      if (!(error instanceof TrackingLost)) throw error;
      if (attempt >= comparesAtMost)
        throw noPoint(`${error.message} That happened ${attempt} times in a row.`, error);
    }
  }
}

async function attemptCapture(parts: LiveCaptureParts, tally: Tally): Promise<LiveCaptured> {
  const { devices } = parts;
  const unknown = devices.filter(({ tracker }) => !tracker.begin(parts.cycleId, parts.base));
  takeLost(parts);
  await Promise.all(devices.map(({ reader }) => reader.open()));
  for (const device of unknown) {
    tally.compared ??= device.tracker.lost.reason ?? 'its changes were not followed yet';
    await compareWhole(parts, device, tally);
  }
  for (let attempt = 1; ; attempt += 1) {
    await copyInRounds(parts, tally);
    try {
      const moment = await takeMoment(parts);
      await sendRest(parts, moment.rest, tally);
      const { rest, ...told } = moment;
      const { changedBytes, rounds, compared } = tally;
      const captured = { ...told, changedBytes, rounds, restBytes: rest.bytes };
      return compared === undefined ? captured : { ...captured, compared };
    } catch (error) {
      if (!(error instanceof RestTooLarge)) throw error;
      if (attempt >= momentsAtMost) throw noPoint(error.message, error);
    }
  }
}

/** What was lost is as good as changed. */
function takeLost({ devices, lost }: LiveCaptureParts): void {
  for (const { diskIndex, offsetBytes, lengthBytes } of lost ?? []) {
    const device = devices[diskIndex];
    if (!device) continue;
    const pages = new DirtyMap(device.sizeBytes);
    pages.add(offsetBytes, lengthBytes);
    device.tracker.giveBack(pages);
  }
}

async function compareWhole(parts: LiveCaptureParts, device: LinuxBlockDevice, tally: Tally): Promise<void> {
  const { devices, known, sink, onProgress, signal } = parts;
  const diskIndex = devices.indexOf(device);
  const read = device.compare((offset, length) => known(diskIndex, offset, length), signal);
  for await (const piece of read) {
    const processedBytes = piece.offsetBytes + piece.lengthBytes;
    tally.changedBytes += piece.runs.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    await sink.send(diskIndex, piece);
    onProgress(diskIndex, processedBytes);
  }
  await sink.flush();
  device.tracker.compared();
}

/** Copies what is dirty, again and again, until little is left or the rounds stop shrinking. */
async function copyInRounds(parts: LiveCaptureParts, tally: Tally): Promise<void> {
  const { devices, sink, signal } = parts;
  const mountPoints = mountPointsOn(devices.map(({ device }) => device));
  let before = Infinity;
  for (let round = 1; round <= roundsAtMost; round += 1) {
    signal.throwIfAborted();
    await syncFileSystems(mountPoints, signal); // what they hold back would all come when they are frozen
    for (const { tracker } of devices) tracker.settle();
    const bytes = devices.reduce((sum, { tracker }) => sum + tracker.dirtyBytes, 0);
    if (bytes <= littleBytes || bytes > before * shrinksTo) return;
    before = bytes;
    tally.rounds += 1;
    await protecting(devices, async (taken) => {
      for (const [diskIndex, pages] of taken.entries()) {
        const device = devices[diskIndex];
        if (device)
          tally.changedBytes += await copyExtents(
            device.reader,
            pages,
            (piece) => sink.send(diskIndex, piece),
            signal,
          );
      }
      await sink.flush();
    });
  }
}

/** Takes what is dirty for the work; when that fails it is dirty again. */
async function protecting<T>(
  devices: readonly LinuxBlockDevice[],
  work: (taken: readonly DirtyMap[]) => Promise<T>,
): Promise<T> {
  const taken = devices.map(({ tracker }) => tracker.take());
  try {
    const result = await work(taken);
    for (const [at, pages] of taken.entries()) devices[at]?.tracker.copied(pages);
    return result;
  } catch (error) {
    for (const [at, pages] of taken.entries()) devices[at]?.tracker.giveBack(pages);
    throw error;
  }
}

interface Moment extends Pick<
  LiveCaptured,
  'capturedAtMs' | 'consistency' | 'frozenMs' | 'unfreezable' | 'hookFailure'
> {
  rest: Rest;
}

async function takeMoment(parts: LiveCaptureParts): Promise<Moment> {
  const { hooks } = parts;
  const failures: string[] = [];
  const note = (error: unknown): false => {
    failures.push(messageOf(error));
    return false;
  };
  const isPrepared = (await hooks?.before().catch(note)) ?? false;
  let moment: Moment | undefined;
  try {
    moment = await takeFrozen(parts);
  } finally {
    await hooks?.after(moment ? 'made' : 'failed').catch(note);
  }
  if (isPrepared && moment.consistency === 'CrashConsistent') moment.consistency = 'AppConsistent';
  return failures.length === 0 ? moment : { ...moment, hookFailure: failures.join(' ') };
}

async function takeFrozen(parts: LiveCaptureParts): Promise<Moment> {
  const { devices, freezeLimitMs, onFrozen, whenNotConsistent } = parts;
  const mountPoints = mountPointsOn(devices.map(({ device }) => device));
  const freezer = await Freezer.prepare(mountPoints, freezeLimitMs).catch((error: unknown) => {
    throw brokenFreeze(error);
  });
  let rest: Rest | undefined;
  let startedAt = performance.now();
  try {
    await syncFileSystems(mountPoints, parts.signal); // since the last round some time has passed
    onFrozen(true);
    startedAt = performance.now();
    const { unfreezable } = await freezer.freeze();
    rest = await copyRest(devices, startedAt + freezeLimitMs * readsOfLimit, parts.signal);
    const capturedAtMs = Date.now();
    await freezer.thaw();
    const frozenMs = performance.now() - startedAt;
    if (!rest.isQuiet && whenNotConsistent === 'refuse') throw restless(unfreezable);
    const consistency = rest.isQuiet ? 'CrashConsistent' : 'NotConsistent';
    return { rest, capturedAtMs, consistency, frozenMs, unfreezable };
  } catch (error) {
    for (const [at, pages] of (rest?.pages ?? []).entries()) devices[at]?.tracker.giveBack(pages);
    throw brokenFreeze(error);
  } finally {
    await freezer.close();
    onFrozen(false);
  }
}

async function sendRest(parts: LiveCaptureParts, rest: Rest, tally: Tally): Promise<void> {
  const { devices, sink } = parts;
  try {
    for (const { diskIndex, piece } of rest.pieces) {
      tally.changedBytes += piece.lengthBytes;
      await sink.send(diskIndex, piece);
    }
    await sink.flush();
    for (const [at, pages] of rest.pages.entries()) devices[at]?.tracker.copied(pages);
  } catch (error) {
    for (const [at, pages] of rest.pages.entries()) devices[at]?.tracker.giveBack(pages);
    throw error;
  }
}

function brokenFreeze(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'BrokenFreeze') return error;
  return noPoint(`The file systems could not be held still: ${error.message}.`, error);
}

function restless(unfreezable: readonly string[]): DomainError {
  const who = unfreezable.length > 0 ? ` ${unfreezable.join(', ')} can not be frozen.` : '';
  return noPoint(`The disks were written to all the time, though their file systems were frozen.${who}`);
}

function noPoint(reason: string, cause?: unknown): DomainError {
  const fault = {
    code: 'RemoteFailure',
    message: `No recovery point was made; those before stay valid. ${reason}`,
    recommendedAction: 'The agent tries again by itself. If this lasts, look at the load on the disks.',
  } as const;
  return new DomainError(fault, { cause });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
