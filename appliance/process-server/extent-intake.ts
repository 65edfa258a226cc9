import type { IncomingMessage } from 'node:http';
import { MiB } from '../../shared/bytes.ts';
import type { SegmentWriter } from '../../shared/replica/segment-writer.ts';
import { ExtentParser } from './extent-parser.ts';
import type { ItemLog } from './item-log.ts';

/** Bytes taken from all agents that are not yet in the spool: what bounds the process server's memory. */
const inFlightBytesAtMost = 48 * MiB;

/** Takes bodies of extents into the spool, no faster than they can be sealed and written. */
export class ExtentIntake {
  #inFlightBytes = 0;
  readonly #paused = new Set<IncomingMessage>();

  /**
   * Takes one body. Resolves to its number of extents when all of them are durable.
   *
   * @throws DomainError when the body is malformed, or the spool can't be written; then some extents may be kept,
   *   which does no harm: the agent sends them again, and the newer ones count
   */
  async take(log: ItemLog, cycleId: string, body: IncomingMessage): Promise<number> {
    const writers = new Set<SegmentWriter>();
    const taken: Promise<void>[] = [];
    let failure: unknown;
    const parser = new ExtentParser(log.item.disks, (extent) => {
      const bytes = extent.data?.length ?? 0;
      this.#inFlightBytes += bytes;
      taken.push(
        log
          .take(cycleId, extent)
          .then(
            (writer) => void writers.add(writer),
            (error: unknown) => {
              failure ??= error;
              body.resume();
            },
          )
          .finally(() => this.#release(bytes)),
      );
    });
    await new Promise<void>((resolve, reject) => {
      body.on('data', (chunk: Buffer) => {
        if (failure !== undefined) return;
        try {
          parser.push(chunk);
        } catch (error) {
          failure = error;
        }
        if (this.#inFlightBytes > inFlightBytesAtMost) {
          this.#paused.add(body);
          body.pause();
        }
      });
      body.on('end', resolve);
      body.on('error', reject);
      body.on('close', () => (body.complete ? resolve() : reject(new Error('The agent broke off.'))));
    }).finally(() => this.#paused.delete(body));
    await Promise.all(taken);
    if (failure !== undefined) throw failure;
    parser.end();
    await log.sync(writers);
    return taken.length;
  }

  #release(bytes: number): void {
    this.#inFlightBytes -= bytes;
    if (this.#inFlightBytes > inFlightBytesAtMost / 2) return;
    for (const body of this.#paused) body.resume();
    this.#paused.clear();
  }
}
