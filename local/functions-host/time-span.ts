/**
 * Reads a .NET time span (`hh:mm`, `hh:mm:ss`, `d.hh:mm:ss`, with a fraction of a second or not), in milliseconds.
 * https://learn.microsoft.com/dotnet/standard/base-types/standard-timespan-format-strings
 */
export function parseTimeSpanMs(text: string): number | undefined {
  const match = /^(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(\.\d{1,7})?)?$/.exec(text.trim());
  if (match === null) return undefined;
  const [, days = '0', hours = '0', minutes = '0', seconds = '0', fraction = '0'] = match;
  if (Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return undefined;
  const wholeMinutes = (Number(days) * 24 + Number(hours)) * 60 + Number(minutes);
  return (wholeMinutes * 60 + Number(seconds) + Number(fraction)) * 1000;
}
