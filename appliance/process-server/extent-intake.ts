import type { IncomingMessage } from 'node:http';
import { MiB } from '../../shared/bytes.ts';
import { DomainError } from '../../shared/fault.ts';
import { free } from '../../shared/replica/free.ts';
import { giveBack } from './extent-buffers.ts';
import { ExtentParser } from './extent-parser.ts';
import type { ItemLog, SpoolSegment } from './item-log.ts';
import type { Place } from './spool-losses.ts';

/** Bytes taken from all agents that are not yet in the spool: what bounds the process server's memory. */
const inFlightBytesAtMost = 24 * MiB;
/** Bodies read at once; each holds up to one extent that is not yet whole. The others wait unread. */
const bodiesAtOnce = 32;

/** Takes bodies of extents into the spool, no faster than they can be sealed and written. */
export class ExtentIntake {
  #inFlightBytes = 0;
  #bodies = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #paused = new Set<IncomingMessage>();

  /**
   * Takes one body. Resolves to its number of extents when all of them are durable.
   *
   * @throws DomainError when the cycle is not open, the body is malformed, or the spool can't be written; then some extents may be kept,
   *   which does no harm: the agent sends them again, and the newer ones count
   */
  async take(log: ItemLog, cycleId: string, body: IncomingMessage): Promise<number> {
    while (this.#bodies >= bodiesAtOnce) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#bodies += 1;
    try {
      const taking = new BodyTaking(log, cycleId, {
        hold: (bytes) => (this.#inFlightBytes += bytes),
        release: (bytes) => this.#release(bytes),
      });
      await this.#read(body, taking);
      return await taking.finish();
    } finally {
      this.#bodies -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #read(body: IncomingMessage, taking: BodyTaking): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      body.on('data', (chunk: Buffer) => {
        taking.push(chunk);
        free(chunk);
        if (this.#inFlightBytes > inFlightBytesAtMost) {
          this.#paused.add(body);
          body.pause();
        }
      });
      body.on('end', resolve);
      body.on('error', reject);
      body.on('close', () => (body.complete ? resolve() : reject(new Error('The connection was cut.'))));
    })
      .catch((cause: unknown) => {
        throw new DomainError({ code: 'Unavailable', message: 'The agent broke off.' }, { cause });
      })
      .finally(() => this.#paused.delete(body));
  }

  #release(bytes: number): void {
    this.#inFlightBytes -= bytes;
    if (this.#inFlightBytes > inFlightBytesAtMost / 2) return;
    for (const body of this.#paused) body.resume();
    this.#paused.clear();
  }
}

/** One body on its way into an item's log. After a failure the rest is read and thrown away. */
class BodyTaking {
  readonly #log: ItemLog;
  readonly #parser: ExtentParser;
  readonly #places = new Map<SpoolSegment, Place[]>();
  readonly #taken: Promise<void>[] = [];
  #failure: { error: unknown } | undefined;

  constructor(
    log: ItemLog,
    cycleId: string,
    memory: { hold: (bytes: number) => void; release: (bytes: number) => void },
  ) {
    this.#log = log;
    const { disks } = log.requireOpen(cycleId);
    this.#parser = new ExtentParser(disks, (extent) => {
      const bytes = extent.data?.length ?? 0;
      const { diskIndex, offsetBytes, lengthBytes } = extent;
      const place = { disk: disks[diskIndex]?.number ?? -1, offsetBytes, lengthBytes };
      memory.hold(bytes);
      const taken = log
        .take(cycleId, extent, place)
        .then(
          (segment) => this.#keep(segment, place),
          (error: unknown) => void (this.#failure ??= { error }),
        )
        .finally(() => {
          if (extent.data) giveBack(extent.data);
          memory.release(bytes);
        });
      this.#taken.push(taken);
    });
  }

  push(chunk: Buffer): void {
    if (this.#failure) return;
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.#failure = { error };
    }
  }

  #keep(segment: SpoolSegment, place: Place): void {
    const places = this.#places.get(segment);
    if (places) places.push(place);
    else this.#places.set(segment, [place]);
  }

  async finish(): Promise<number> {
    await Promise.all(this.#taken);
    if (this.#failure) throw this.#failure.error;
    this.#parser.end();
    await this.#log.sync(this.#places);
    return this.#taken.length;
  }
}
