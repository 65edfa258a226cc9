import { randomUUID } from 'node:crypto';
import { accessSync, constants, statSync, type BigIntStats } from 'node:fs';
import { DomainError } from '../../shared/fault.ts';
import { compareDisk } from './compare-disk.ts';
import type { DiskSource, Piece } from './disk-source.ts';

/** File times move in ticks of the kernel's clock, 10 ms at most: of two writes within one, the second does not show. */
const tickNs = 20_000_000n;

/** A raw disk image in a file that nobody writes to while a point is made. */
export class ImageFile implements DiskSource {
  readonly diskId: string;
  readonly path: string;
  readonly sizeBytes: number;

  /** @throws DomainError RemoteFailure when the file is missing, unreadable, empty, not of whole sectors; NotSupported for a device. */
  constructor(diskId: string, path: string) {
    this.diskId = diskId;
    this.path = path;
    this.sizeBytes = sizeOf(path);
  }

  stamp(): string {
    const stat = statOf(this.path);
    const sinceNs = BigInt(Date.now()) * 1_000_000n - stat.mtimeNs;
    const another = sinceNs < tickNs ? `-${randomUUID()}` : '';
    return `${stat.ino}-${stat.size}-${stat.mtimeNs}-${stat.ctimeNs}${another}`;
  }

  compare(
    known: (offsetBytes: number, lengthBytes: number) => Uint8Array,
    signal: AbortSignal,
  ): AsyncIterable<Piece> {
    const { path, sizeBytes } = this;
    return compareDisk({ path, sizeBytes, direct: false, unreadable }, known, signal);
  }
}

function sizeOf(path: string): number {
  const stat = statOf(path);
  if (stat.isBlockDevice()) {
    throw new DomainError({
      code: 'NotSupported',
      message: `${path} is a block device; this mobility agent protects raw image files only.`,
      target: path,
      recommendedAction: 'Give the path of a raw disk image.',
    });
  }
  if (!stat.isFile()) throw unusable(path, 'it is not a file');
  const sizeBytes = Number(stat.size);
  if (sizeBytes === 0) throw unusable(path, 'it is empty');
  if (sizeBytes % 512 !== 0) throw unusable(path, `its size, ${sizeBytes} bytes, is not a multiple of 512`);
  return sizeBytes;
}

function statOf(path: string): BigIntStats {
  try {
    accessSync(path, constants.R_OK);
    return statSync(path, { bigint: true });
  } catch (error) {
    throw unreadable(path, (error as NodeJS.ErrnoException).code ?? 'EIO');
  }
}

function unreadable(path: string, code: string): DomainError {
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such file',
    EACCES: 'the agent may not read it',
    ESHRUNK: 'it became shorter while it was read',
    EIO: 'reading it gives an input/output error',
  };
  return unusable(path, reasons[code] ?? `opening it gives ${code}`);
}

function unusable(path: string, reason: string): DomainError {
  return new DomainError({
    code: 'RemoteFailure',
    message: `The disk ${path} can not be protected: ${reason}.`,
    target: path,
    recommendedAction: "Correct the path or the file, then start the agent again with '--disk ID=PATH'.",
  });
}
