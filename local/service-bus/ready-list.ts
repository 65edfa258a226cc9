/** Messages waiting for a receiver, in sequence order; cheap at both ends, where almost all changes are. */
export class ReadyList<T extends { sequence: number }> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  insert(item: T): void {
    const at = this.#positionOf(item.sequence);
    if (at === this.#items.length) {
      this.#items.push(item);
    } else if (this.#head > 0 && at - this.#head < this.#items.length - at) {
      this.#items.copyWithin(this.#head - 1, this.#head, at);
      this.#head -= 1;
      this.#items[at - 1] = item;
    } else {
      this.#items.splice(at, 0, item);
    }
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Takes out and returns the items for which `isOut` holds. */
  removeWhere(isOut: (item: T) => boolean): T[] {
    const removed: T[] = [];
    const kept: T[] = [];
    for (const item of this) (isOut(item) ? removed : kept).push(item);
    if (removed.length > 0) {
      this.#items = kept;
      this.#head = 0;
    }
    return removed;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let index = this.#head; index < this.#items.length; index++) {
      const item = this.#items[index];
      if (item !== undefined) yield item;
    }
  }

  #positionOf(sequence: number): number {
    let [low, high] = [this.#head, this.#items.length];
    const last = this.#items[high - 1];
    if (high === low || last === undefined || last.sequence < sequence) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#items[middle]?.sequence ?? 0) < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
