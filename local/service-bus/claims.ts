import { covers, entityPath, type Grant, type Right, TokenRefused } from './sas.ts';

/** What one connection may do: the grants it has put through `$cbs`, by audience. */
export class Claims {
  readonly #grants = new Map<string, Grant>();

  /**
   * Takes a verified grant for an audience, in place of the one it had.
   * @throws TokenRefused when the token's own scope does not reach the audience.
   */
  put(audience: string, grant: Grant): void {
    const path = entityPath(audience);
    if (!covers(grant.path, path)) {
      throw new TokenRefused(`InvalidAudience: the token's scope does not cover '${audience}'.`);
    }
    this.#grants.set(path, grant);
  }

  /** Whether a grant that has not expired gives this right on this path. */
  allows(right: Right, path: string, nowMs: number): boolean {
    for (const [scope, grant] of this.#grants) {
      if (grant.expiresAtMs > nowMs && grant.rights.has(right) && covers(scope, path)) return true;
    }
    return false;
  }

  /** When the next grant expires, if any; grants that have expired already are forgotten. */
  nextExpiryMs(nowMs: number): number | undefined {
    let next: number | undefined;
    for (const [scope, { expiresAtMs }] of this.#grants) {
      if (expiresAtMs <= nowMs) this.#grants.delete(scope);
      else next = Math.min(next ?? Infinity, expiresAtMs);
    }
    return next;
  }
}
