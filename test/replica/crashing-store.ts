import type { BlobEntry, BlobRange, PutOptions, ReplicaStore } from '../../shared/replica/replica-store.ts';

/** The process died. */
export class Crash extends Error {}

/** A store whose user dies: after so many changes of it nothing is done any more, and nothing is answered but that. */
export class CrashingStore implements ReplicaStore {
  readonly #store: ReplicaStore;
  #changesLeft: number;

  constructor(store: ReplicaStore, changes: number) {
    this.#store = store;
    this.#changesLeft = changes;
  }

  async find(name: string, maxBytes: number): Promise<Buffer | undefined> {
    this.#live();
    return await this.#store.find(name, maxBytes);
  }

  async findRange(name: string, offset: number, length: number): Promise<BlobRange | undefined> {
    this.#live();
    return await this.#store.findRange(name, offset, length);
  }

  async *list(prefix: string): AsyncIterable<BlobEntry> {
    this.#live();
    yield* this.#store.list(prefix);
  }

  async putIfAbsent(name: string, bytes: Uint8Array, options?: PutOptions): Promise<'created' | 'exists'> {
    this.#change();
    return await this.#store.putIfAbsent(name, bytes, options);
  }

  async remove(name: string): Promise<'removed' | 'absent' | 'retained'> {
    this.#change();
    return await this.#store.remove(name);
  }

  #live(): void {
    if (this.#changesLeft < 0) throw new Crash('dead');
  }

  #change(): void {
    this.#changesLeft -= 1;
    this.#live();
  }
}
