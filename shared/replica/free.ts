/**
 * Gives back the memory of bytes that nobody else holds, at once. V8 lets 64 MB of dead buffers pile up in each thread
 * before it looks; with extents of a MiB that was a third of the process (302 MB against 181 for a 2 GiB image).
 * Bytes that share their buffer with others, such as those of Node's pool, are left to the collector, and those that
 * were handed to a thread are gone already.
 */
export function free(bytes: Uint8Array): void {
  const { buffer, byteOffset, byteLength } = bytes;
  if (!(buffer instanceof ArrayBuffer) || buffer.detached || byteOffset !== 0) return;
  // What is cut from the pool is never the whole of it.
  if (buffer.byteLength === byteLength || buffer.byteLength > Buffer.poolSize) buffer.transfer(0);
}
