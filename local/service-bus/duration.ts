const PATTERN = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;

/** Durations at or above this many milliseconds mean 'never' (.NET's TimeSpan.MaxValue and its like). */
export const NEVER_MS = 365_000 * 86_400_000;

/** .NET's TimeSpan.MaxValue, as Service Bus writes 'never'. */
export const NEVER = 'P10675199DT2H48M5.4775807S';

/** Milliseconds of an ISO 8601 duration of days, hours, minutes and seconds, or undefined if it is none. */
export function durationMs(duration: string): number | undefined {
  const match = PATTERN.exec(duration);
  if (match === null || duration === 'P' || duration.endsWith('T')) return undefined;
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((part) => Number(part ?? 0));
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
}
