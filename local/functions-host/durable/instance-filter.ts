import type { InstanceState } from './instance.ts';

/** Which instances a list or a purge means: those that satisfy all conditions of its query. */
export class InstanceFilter {
  readonly hasCreatedTimeFrom: boolean;
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #statuses: Set<string>;
  readonly #prefix: string;

  constructor(query: Map<string, string>) {
    const timeMs = (name: string): number => Date.parse(query.get(name) ?? '');
    this.hasCreatedTimeFrom = !Number.isNaN(timeMs('createdTimeFrom'));
    this.#fromMs = this.hasCreatedTimeFrom ? timeMs('createdTimeFrom') : -Infinity;
    this.#toMs = Number.isNaN(timeMs('createdTimeTo')) ? Infinity : timeMs('createdTimeTo');
    const statuses = (query.get('runtimeStatus') ?? '')
      .split(',')
      .map((status) => status.trim().toLowerCase());
    this.#statuses = new Set(statuses.filter((status) => status !== ''));
    this.#prefix = query.get('instanceIdPrefix') ?? '';
  }

  accepts(state: InstanceState): boolean {
    const createdAtMs = Date.parse(state.createdAt);
    return (
      createdAtMs >= this.#fromMs &&
      createdAtMs <= this.#toMs &&
      (this.#statuses.size === 0 || this.#statuses.has(state.status.toLowerCase())) &&
      state.instanceId.startsWith(this.#prefix)
    );
  }
}
