import { DomainError } from '../../shared/fault.ts';
import { unpackedBytes } from '../../shared/replica/frame.ts';
import {
  extentHeaderBytes,
  extentLimits,
  readExtentHeader,
  type ExtentHeader,
} from '../../shared/wire/agent.ts';
import { takeBuffer } from './extent-buffers.ts';
import type { DiskRef } from '../../shared/wire/command.ts';

/** One extent of a body; `data` (packed where the header says so) is nobody else's until it is given back, and absent for zeros. */
export interface ReceivedExtent extends ExtentHeader {
  data: Uint8Array | undefined;
}

/** Takes a body of extents apart as its bytes arrive. See shared/wire/agent.ts for the framing. */
export class ExtentParser {
  readonly #disks: readonly DiskRef[];
  readonly #onExtent: (extent: ReceivedExtent) => void;
  readonly #header = Buffer.alloc(extentHeaderBytes);
  #headerBytes = 0;
  #current: { header: ExtentHeader; data: Uint8Array; filled: number } | undefined;
  #bodyBytes = 0;

  constructor(disks: readonly DiskRef[], onExtent: (extent: ReceivedExtent) => void) {
    this.#disks = disks;
    this.#onExtent = onExtent;
  }

  /** @throws DomainError InvalidRequest or RequestTooLarge; nothing of the body is to be kept then */
  push(chunk: Buffer): void {
    this.#bodyBytes += chunk.length;
    if (this.#bodyBytes > extentLimits.bodyBytes) {
      throw new DomainError({
        code: 'RequestTooLarge',
        message: `A body of extents is longer than ${extentLimits.bodyBytes} bytes.`,
      });
    }
    for (let at = 0; at < chunk.length;)
      at += this.#current ? this.#fill(chunk, at) : this.#fillHeader(chunk, at);
  }

  /** @throws DomainError InvalidRequest when the body ends within an extent */
  end(): void {
    if (this.#current || this.#headerBytes > 0) throw malformed('it ends in the middle of an extent');
  }

  #fillHeader(chunk: Buffer, at: number): number {
    const taken = Math.min(extentHeaderBytes - this.#headerBytes, chunk.length - at);
    chunk.copy(this.#header, this.#headerBytes, at, at + taken);
    this.#headerBytes += taken;
    if (this.#headerBytes === extentHeaderBytes) {
      this.#headerBytes = 0;
      const header = readExtentHeader(this.#header, 0);
      this.#check(header);
      if (header.zero) this.#onExtent({ ...header, data: undefined });
      else
        this.#current = {
          header,
          data: takeBuffer(header.packedBytes || header.lengthBytes),
          filled: 0,
        };
    }
    return taken;
  }

  #fill(chunk: Buffer, at: number): number {
    const current = this.#current;
    if (!current) return 0;
    const taken = Math.min(current.data.length - current.filled, chunk.length - at);
    current.data.set(chunk.subarray(at, at + taken), current.filled);
    current.filled += taken;
    if (current.filled === current.data.length) {
      this.#current = undefined;
      const { packedBytes, lengthBytes } = current.header;
      if (packedBytes > 0 && unpackedBytes(current.data) !== lengthBytes)
        throw malformed(`what is packed is not a zstd frame of ${lengthBytes} bytes`);
      this.#onExtent({ ...current.header, data: current.data });
    }
    return taken;
  }

  #check(header: ExtentHeader): void {
    const disk = this.#disks[header.diskIndex];
    if (!disk) throw malformed(`it names disk ${header.diskIndex}, and the item has ${this.#disks.length}`);
    const { offsetBytes, lengthBytes } = header;
    const isAligned = offsetBytes % 512 === 0 && lengthBytes % 512 === 0 && lengthBytes > 0;
    if (!isAligned || offsetBytes + lengthBytes > disk.sizeBytes) {
      throw malformed(
        `an extent at ${offsetBytes} of ${lengthBytes} bytes is not within disk ${disk.diskId}`,
      );
    }
    if (!header.zero && lengthBytes > extentLimits.extentBytes) {
      throw malformed(`an extent has ${lengthBytes} bytes, more than ${extentLimits.extentBytes}`);
    }
    if (header.packedBytes > 0 && (header.zero || header.packedBytes >= lengthBytes)) {
      throw malformed(`an extent of ${lengthBytes} bytes is packed into ${header.packedBytes}`);
    }
  }
}

function malformed(reason: string): DomainError {
  return new DomainError({
    code: 'InvalidRequest',
    message: `The body of extents can not be taken: ${reason}.`,
  });
}
