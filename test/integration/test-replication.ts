/** What an appliance does for replication, on the true wire: opens the data key, writes segments and points. */
import { randomBytes } from 'node:crypto';
import { compactDecrypt } from 'jose';
import { BlobReplicaStore } from '../../shared/replica/blob-replica-store.ts';
import { writePoint } from '../../shared/replica/chain.ts';
import { sealFrame } from '../../shared/replica/frame.ts';
import { type ChainHead, genesisHead } from '../../shared/replica/point.ts';
import { MemorySink } from '../../shared/replica/segment-sink.ts';
import { type ReplicaLog } from '../../shared/replica/replica-store.ts';
import { SegmentWriter } from '../../shared/replica/segment-writer.ts';
import { type ItemProgress } from '../../shared/wire/check-in.ts';
import { type Command, type CommandResult, type DiskRef } from '../../shared/wire/command.ts';
import { type TestAppliance } from './test-appliance.ts';

type Answer = Omit<CommandResult, 'commandId'> | undefined;
type Start = Extract<Command['body'], { kind: 'startReplication' }>;

/** Bytes of the one extent that each point brings. */
export const extentBytes = 64 * 1024;

/** Writes the point after `head`: one segment with one changed extent of random bytes. */
export async function writeExtentPoint(
  log: ReplicaLog,
  head: ChainHead,
  disks: readonly (DiskRef & { number?: number })[],
): Promise<{ head: ChainHead; uploadedBytes: number }> {
  const sink = new MemorySink();
  const writer = await SegmentWriter.create({ ...log, sequence: head.sequence + 1 }, sink);
  const data = randomBytes(extentBytes);
  const disk = disks[0]?.number ?? 0;
  await writer.append(sealFrame(writer.reserve(), { disk, offsetBytes: 0, data }));
  const sealed = await writer.finish();
  await log.store.putIfAbsent(sealed.name, sink.bytes(), { md5: sealed.md5 });
  const next = await writePoint(log, {
    head,
    consistency: 'CrashConsistent',
    time: new Date(),
    disks: disks.map(({ diskId, sizeBytes, number }, at) => ({
      number: number ?? at,
      id: diskId,
      sizeBytes,
      sectorBytes: 512,
    })),
    segments: [sealed],
  });
  return { head: next, uploadedBytes: sealed.sizeBytes };
}

/** One item as its appliance replicates it. */
class TestReplica {
  readonly #appliance: TestAppliance;
  #start: Start;
  #resyncs = 0;
  readonly dataKey: Uint8Array;
  #head: ChainHead;

  constructor(appliance: TestAppliance, start: Start, dataKey: Uint8Array) {
    this.#appliance = appliance;
    this.#start = start;
    this.dataKey = dataKey;
    this.#head = genesisHead(start.protectedItemId);
  }

  /** Goes on with the disks and the schedule of another assignment. */
  update(start: Start): void {
    this.#start = start;
  }

  get disks(): Start['disks'] {
    return this.#start.disks;
  }

  /** Begins a resynchronization; `finish` ends it. */
  async resynchronize(): Promise<number> {
    this.#resyncs += 1;
    await this.progress({
      phase: 'Resync',
      resync: { asked: this.#resyncs, done: this.#resyncs - 1, sinceMs: Date.now() },
    });
    return this.#resyncs;
  }

  async finish(): Promise<void> {
    await this.progress({
      phase: 'Waiting',
      resync: { asked: this.#resyncs, done: this.#resyncs, sinceMs: Date.now() },
    });
  }

  async progress(told: Partial<ItemProgress> = {}): Promise<void> {
    const { protectedItemId, disks } = this.#start;
    await this.#appliance.checkIn({
      kind: 'progress',
      items: [
        {
          protectedItemId,
          phase: 'InitialReplication',
          cycle: 1,
          disks: disks.map(({ diskId, sizeBytes }) => ({
            diskId,
            totalBytes: sizeBytes,
            processedBytes: sizeBytes / 4,
          })),
          uploadedBytes: 1_000,
          bytesPerSecond: 1_048_576,
          startedAtMs: Date.now(),
          ...told,
        },
      ],
    });
  }

  /** Writes the next point: one changed extent. Tells of it `times` times. */
  async point(times = 1): Promise<number> {
    const { protectedItemId, disks } = this.#start;
    const { replicas } = await this.#appliance.tokens();
    const grant = replicas.find((one) => one.protectedItemId === protectedItemId)?.grant;
    if (grant === undefined) throw new Error('The vault grants no container for the item');
    const log = { store: new BlobReplicaStore(grant), itemId: protectedItemId, dataKey: this.dataKey };
    const written = await writeExtentPoint(log, this.#head, disks);
    this.#head = written.head;
    for (let told = 0; told < times; told += 1) {
      const { sequence } = this.#head;
      await this.#appliance.checkIn({
        kind: 'recoveryPoint',
        protectedItemId,
        sequence,
        changedBytes: extentBytes,
        uploadedBytes: written.uploadedBytes,
      });
    }
    return this.#head.sequence;
  }
}

/** Answers commands as an appliance that replicates, until a test says otherwise. */
export class TestReplication {
  readonly replicas = new Map<string, TestReplica>();
  readonly appliance: TestAppliance;
  /** What a kind of command is answered with in place of doing it; undefined: nothing. */
  readonly instead = new Map<Command['body']['kind'], () => Answer>();

  /** Kinds of commands that are done without a word. */
  readonly silent = new Set<Command['body']['kind']>();

  constructor(appliance: TestAppliance) {
    this.appliance = appliance;
    appliance.answer = async (command) => {
      const answer = await this.#answer(command);
      return this.silent.has(command.body.kind) ? undefined : answer;
    };
  }

  /** Kinds of the commands so far that were about this item. */
  kindsFor(protectedItemId: string): string[] {
    return this.appliance.commands
      .filter(({ body }) => 'protectedItemId' in body && body.protectedItemId === protectedItemId)
      .map(({ body }) => body.kind);
  }

  /** The item that the last command of this kind was about. */
  lastItemAsked(kind: Command['body']['kind']): string {
    const body = this.appliance.commands.findLast((command) => command.body.kind === kind)?.body;
    return body !== undefined && 'protectedItemId' in body ? body.protectedItemId : '';
  }

  async #answer({ body }: Command): Promise<Answer> {
    const other = this.instead.get(body.kind);
    if (other !== undefined) return other();
    if (body.kind === 'prepareMachine')
      return { outcome: 'succeeded', agentVersion: '0.1.0', osName: 'Debian 12' };
    if (body.kind === 'updateAgent')
      return { outcome: 'succeeded', agentVersion: '0.2.0', osName: 'Debian 12' };
    if (body.kind === 'startReplication') await this.#start(body);
    if (body.kind === 'resynchronize') {
      const resyncRequest = await this.replicas.get(body.protectedItemId)?.resynchronize();
      return resyncRequest === undefined ? { outcome: 'failed' } : { outcome: 'succeeded', resyncRequest };
    }
    if (body.kind !== 'createRecoveryPoint') return { outcome: 'succeeded' };
    const pointSequence = await this.replicas.get(body.protectedItemId)?.point();
    return pointSequence === undefined ? { outcome: 'failed' } : { outcome: 'succeeded', pointSequence };
  }

  async #start(body: Start): Promise<void> {
    const known = this.replicas.get(body.protectedItemId);
    if (known !== undefined) return known.update(body);
    const { plaintext } = await compactDecrypt(body.sealedDataKey, this.appliance.encryption.privateKey);
    const replica = new TestReplica(this.appliance, body, plaintext);
    this.replicas.set(body.protectedItemId, replica);
    await replica.progress();
  }
}
