import { closeSync, constants, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { parseEventLayout, parsePageLayout, type EventLayout, type PageLayout } from './trace-layout.ts';
import { readPage, type WriteVisitor } from './trace-page.ts';
import {
  makeTraceInstance,
  noTracing,
  readTraceControl,
  removeTraceInstance,
  setTraceControl,
} from './trace-instance.ts';

const event = 'events/block/block_rq_complete';
/** Memory for events of one disk, over all CPUs; and what each CPU has at least and at most. */
const bufferKiBInAll = 32 * 1024;
const bufferKiBAtLeast = 1024;
const bufferKiBAtMost = 4096;
/** So much at once and no more, so that a storm of events can't hold the reader for ever. */
const pagesPerDrainAtMost = 16_384;
const settleRounds = 50;

/** The whole disk whose requests are followed. */
export interface TracedDevice {
  major: number;
  minor: number;
}

interface Cpu {
  name: string;
  pipe: number;
  /** Events that were read here; the kernel counts them too. */
  events: number;
}

/**
 * The writes that one disk has completed, from the kernel's own trace. It says truthfully when some may be missing:
 * then {@link lost} has the reason, for good, and only a full compare tells what changed.
 */
export class BlockTrace {
  readonly #folder: string;
  readonly #controls: ReadonlyMap<string, string>;
  readonly #layout: { page: PageLayout; event: EventLayout };
  readonly #page: Buffer;
  readonly #cpus: Cpu[] = [];
  #online: Cpu[] = [];
  #lost: string | undefined;
  #isOpen = true;

  private constructor(folder: string, device: TracedDevice, bufferKiB: number | undefined) {
    this.#folder = folder;
    this.#layout = {
      page: parsePageLayout(readTraceControl(folder, 'events/header_page')),
      event: parseEventLayout(readTraceControl(folder, `${event}/format`)),
    };
    this.#page = Buffer.allocUnsafeSlow(this.#layout.page.pageBytes);
    const names = readdirSync(join(folder, 'per_cpu'));
    setTraceControl(folder, 'buffer_size_kb', String(bufferKiB ?? bufferShare(onlineCpus().size)));
    setFilter(folder, device);
    setTraceControl(folder, 'tracing_on', '1');
    for (const name of names) this.#cpus.push({ name, pipe: openPipe(folder, name), events: 0 });
    setTraceControl(folder, `${event}/enable`, '1');
    this.#lookForCpus();
    this.#controls = this.#readControls();
  }

  /**
   * Begins to follow a disk.
   *
   * @param bufferKiB memory per CPU; chosen by the number of CPUs when it is not given
   * @throws DomainError NotSupported
   */
  static open(device: TracedDevice, bufferKiB?: number): BlockTrace {
    const folder = makeTraceInstance();
    try {
      return new BlockTrace(folder, device, bufferKiB);
    } catch (error) {
      dismantle(folder);
      throw error instanceof Error && 'fault' in error ? error : noTracing(String(error));
    }
  }

  /** Why writes may be missing; undefined while none are. Looked at anew by {@link settle}. */
  get lost(): string | undefined {
    return this.#lost;
  }

  /** Gives what has come since; to be called often enough that the buffers never fill. */
  drain(visit: WriteVisitor): void {
    for (const cpu of this.#online) this.#drainCpu(cpu, visit);
  }

  /**
   * Gives every write that completed before the call, and looks whether any was lost.
   *
   * An event may be written but not yet readable while another one around it is being written on the same CPU; the
   * kernel's count of unread entries includes it. So the buffers are read until that count was zero for every CPU.
   */
  settle(visit: WriteVisitor): void {
    if (this.#lost !== undefined || !this.#isOpen) return;
    try {
      this.#lookForCpus();
      let waiting = this.#cpus;
      for (let round = 0; waiting.length > 0 && round < settleRounds; round += 1) {
        for (const cpu of waiting) this.#drainCpu(cpu, visit);
        waiting = waiting.filter((cpu) => this.#unread(cpu) > 0);
      }
      if (waiting.length > 0) this.#lose('events came faster than they could be read');
      for (const [file, value] of this.#readControls())
        if (this.#controls.get(file) !== value) this.#lose(`somebody changed ${file} of the trace`);
    } catch (error) {
      this.#lose(error instanceof Error ? error.message : String(error));
    }
  }

  /** Ends the tracing. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const { pipe } of this.#cpus.splice(0)) closeSync(pipe);
    this.#online = [];
    dismantle(this.#folder);
  }

  #drainCpu(cpu: Cpu, visit: WriteVisitor): void {
    if (this.#lost !== undefined) return;
    try {
      for (let pages = 0; pages < pagesPerDrainAtMost; pages += 1) {
        const length = readOrNothing(cpu.pipe, this.#page);
        if (length === 0) return;
        const { events, missed } = readPage(this.#page.subarray(0, length), this.#layout, visit);
        cpu.events += events;
        if (missed) this.#lose('the kernel lost events for want of room');
      }
    } catch (error) {
      this.#lose(error instanceof Error ? error.message : String(error));
    }
  }

  /** Entries of a CPU that were not read yet. Loses faith when the kernel's counts don't agree with ours. */
  #unread(cpu: Cpu): number {
    const stats = readTraceControl(this.#folder, `per_cpu/${cpu.name}/stats`);
    for (const name of ['overrun', 'commit overrun', 'dropped events'])
      if (countIn(stats, name) > 0) this.#lose(`the kernel lost events for want of room (${name})`);
    const read = countIn(stats, 'read events');
    if (read !== cpu.events)
      this.#lose(`${read} events were taken from ${cpu.name}, ${cpu.events} of them here`);
    return countIn(stats, 'entries');
  }

  /** A buffer of a CPU that is off holds nothing new, but may hold something old: that is read when settling. */
  #lookForCpus(): void {
    const online = onlineCpus();
    this.#online = this.#cpus.filter(({ name }) => online.has(name));
  }

  #readControls(): Map<string, string> {
    const files = ['tracing_on', 'buffer_size_kb', `${event}/enable`, `${event}/filter`];
    return new Map(files.map((file) => [file, readTraceControl(this.#folder, file)]));
  }

  #lose(reason: string): void {
    this.#lost ??= reason;
  }
}

/** Writes have no name that a filter could keep, as zeroes and discards differ; reads are left out where the kernel can. */
function setFilter(folder: string, { major, minor }: TracedDevice): void {
  const ours = `dev == ${major * 2 ** 20 + minor}`;
  try {
    setTraceControl(folder, `${event}/filter`, `${ours} && !(rwbs ~ "R*")`);
  } catch {
    setTraceControl(folder, `${event}/filter`, ours); // before Linux 4.0
  }
}

function bufferShare(cpus: number): number {
  return Math.max(bufferKiBAtLeast, Math.min(bufferKiBAtMost, Math.floor(bufferKiBInAll / cpus)));
}

/** Names as in `per_cpu`. */
function onlineCpus(): Set<string> {
  const text = readFileSync('/sys/devices/system/cpu/online', 'latin1').trim();
  const names = new Set<string>();
  for (const part of text.split(',')) {
    const [first = 0, last = first] = part.split('-').map(Number);
    for (let cpu = first; cpu <= last; cpu += 1) names.add(`cpu${cpu}`);
  }
  return names;
}

function openPipe(folder: string, cpu: string): number {
  const path = join(folder, 'per_cpu', cpu, 'trace_pipe_raw');
  return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
}

function readOrNothing(file: number, page: Buffer): number {
  try {
    return readSync(file, page, 0, page.length, null);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
    throw error;
  }
}

function countIn(stats: string, name: string): number {
  const found = new RegExp(`^${name}: (?<count>\\d+)$`, 'mu').exec(stats)?.groups?.['count'];
  if (found === undefined) throw new Error(`the trace's statistics do not tell '${name}'`);
  return Number(found);
}

function dismantle(folder: string): void {
  try {
    setTraceControl(folder, `${event}/enable`, '0');
  } catch {
    // removing the instance ends it too
  }
  removeTraceInstance(folder);
}
