/** A blob of a container and its size. */
export interface BlobEntry {
  name: string;
  sizeBytes: number;
  /** When it was written, by the store's clock. */
  writtenAtMs: number;
}

/** Part of a blob, and the size of the whole. Shorter than asked for where the blob ends before. */
export interface BlobRange {
  bytes: Buffer;
  sizeBytes: number;
}

/**
 * One item's container. What is written in it is never changed. Bytes that are given out are the caller's alone.
 * Faults: everything but what is documented throws a `StoreError`.
 */
export interface ReplicaStore {
  /** A whole blob, or undefined where there is none. A blob above `maxBytes` is a StoreError before it is read. */
  find(name: string, maxBytes: number): Promise<Buffer | undefined>;
  /** Part of a blob, or undefined where there is none. Empty where it begins behind the blob's end. */
  findRange(name: string, offset: number, length: number): Promise<BlobRange | undefined>;
  /** Every blob whose name begins with the prefix, in the order of names. */
  list(prefix: string): AsyncIterable<BlobEntry>;
  /**
   * Writes a blob whole or not at all; a name that is taken stays as it is and answers `exists`. After a fault the
   * blob may have been written: repeat with the same bytes, and take `exists` for done.
   */
  putIfAbsent(name: string, bytes: Uint8Array, options?: PutOptions): Promise<'created' | 'exists'>;
  /**
   * Deletes a blob for good. Only the collection does, and an appliance's grant does not allow it. `retained`: a policy
   * of the store (immutability, legal hold) keeps it for now.
   */
  remove(name: string): Promise<'removed' | 'absent' | 'retained'>;
}

export interface PutOptions {
  /** Base64. Computed where it is not given; a blob that arrives with another one is refused by the store. */
  md5?: string;
  signal?: AbortSignal;
}

/** The store answered with a fault, or did not answer. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  /** The store's own code, such as `ServerBusy` or `ECONNRESET`. */
  readonly code: string;
  /** Whether the same call may succeed later. */
  readonly isRetryable: boolean;

  constructor(message: string, fault: { code: string; isRetryable: boolean }, options?: ErrorOptions) {
    super(message, options);
    this.code = fault.code;
    this.isRetryable = fault.isRetryable;
  }
}

/** An item's log: where it is, whose it is, and the key to it. */
export interface ReplicaLog {
  store: ReplicaStore;
  itemId: string;
  dataKey: Uint8Array;
}
