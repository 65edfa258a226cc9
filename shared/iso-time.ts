/** A moment as ARM writes it; null where there is none yet. */
export function isoTime(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

/** Whole seconds from one moment to another; 0 when the clocks disagree, null where there is no first moment. */
export function secondsSince(fromMs: number | undefined, toMs: number): number | null {
  return fromMs === undefined ? null : Math.max(0, Math.round((toMs - fromMs) / 1_000));
}
