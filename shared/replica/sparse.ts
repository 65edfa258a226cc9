import { KiB } from '../bytes.ts';
import { isZero } from './frame.ts';

/** Zeros shorter than this are written like data: a hole would cost more than it saves. */
export const HOLE_BYTES = 64 * KiB;

/** Cuts bytes in the stretches that are not zeros, looking at 64 KiB blocks counted from the disk's start. */
export function* stretchesWithData(
  offsetBytes: number,
  data: Uint8Array,
  maxBytes: number = Number.POSITIVE_INFINITY,
): Generator<{ offsetBytes: number; data: Uint8Array }, void, undefined> {
  let from = -1;
  let at = 0;
  while (at < data.length) {
    const end = Math.min(data.length, at + HOLE_BYTES - ((offsetBytes + at) % HOLE_BYTES));
    const isHole = isZero(data.subarray(at, end));
    if (from >= 0 && (isHole || end - from > maxBytes)) {
      yield { offsetBytes: offsetBytes + from, data: data.subarray(from, at) };
      from = -1;
    }
    if (!isHole && from < 0) from = at;
    at = end;
  }
  if (from >= 0) yield { offsetBytes: offsetBytes + from, data: data.subarray(from) };
}
