/** A moment as ARM writes it; null where there is none yet. */
export function isoTime(ms: number | undefined): string | null {
  if (ms === undefined) return null;
  if (ms !== last.ms) last = { ms, text: new Date(ms).toISOString() };
  return last.text;
}

/** An answer has the same moment many times over, and writing it takes longer than most else. */
let last = { ms: 0, text: new Date(0).toISOString() };

/** Whole seconds from one moment to another; 0 when the clocks disagree, null where there is no first moment. */
export function secondsSince(fromMs: number | undefined, toMs: number): number | null {
  return fromMs === undefined ? null : Math.max(0, Math.round((toMs - fromMs) / 1_000));
}
