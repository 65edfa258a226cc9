/** vSphere's own settings: five wrong passwords within three minutes lock an account for five. */
const mostFailures = 5;
const withinMs = 3 * 60 * 1000;
const lockedMs = 5 * 60 * 1000;

/** Locks accounts for which wrong passwords come, as vCenter Single Sign-On does. */
export class Lockout {
  readonly #failures = new Map<string, number[]>();
  readonly #lockedUntil = new Map<string, number>();

  isLocked(user: string, nowMs: number): boolean {
    return nowMs < (this.#lockedUntil.get(user) ?? 0);
  }

  failed(user: string, nowMs: number): void {
    const recent = [...(this.#failures.get(user) ?? []), nowMs].filter((atMs) => atMs > nowMs - withinMs);
    this.#failures.set(user, recent);
    if (recent.length >= mostFailures) this.#lockedUntil.set(user, nowMs + lockedMs);
  }

  succeeded(user: string): void {
    this.#failures.delete(user);
  }
}
