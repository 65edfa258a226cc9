// When a timer fires: NCRONTAB of six fields (second first) or five, in UTC, or a time span.
// https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
import { parseTimeSpanMs } from '../time-span.ts';

/** The occurrences of a timer. */
export type Schedule = { nextAfterMs(atMs: number): number };

type Field = { name: string; least: number; most: number; names?: readonly string[] };

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const fields: Field[] = [
  { name: 'second', least: 0, most: 59 },
  { name: 'minute', least: 0, most: 59 },
  { name: 'hour', least: 0, most: 23 },
  { name: 'day', least: 1, most: 31 },
  { name: 'month', least: 1, most: 12, names: months },
  { name: 'day of week', least: 0, most: 6, names: days },
];
const dayMs = 86_400_000;
/** 29 February on a given weekday comes back within 40 years, across a year that is no leap year too. */
const longestSearchDays = 41 * 366;

/** Reads a schedule. @throws Error that says which field is wrong */
export function parseSchedule(text: string): Schedule {
  const spanMs = parseTimeSpanMs(text);
  if (spanMs !== undefined) {
    if (spanMs <= 0) throw new Error(`schedule '${text}' must be longer than nothing`);
    return { nextAfterMs: (atMs) => atMs + spanMs };
  }
  const parts = text.trim().split(/\s+/);
  if (parts.length === 5) parts.unshift('0');
  if (parts.length !== 6)
    throw new Error(`schedule '${text}' is neither NCRONTAB (5 or 6 fields) nor a time span`);
  const sets = fields.map((field, index) => parseField(parts[index] ?? '', field, text));
  const [seconds, minutes, hours, monthDays, monthNumbers, weekDays] = sets as [
    number[],
    number[],
    number[],
    number[],
    number[],
    number[],
  ];
  const timesMs = (hour: number): number[] =>
    minutes.flatMap((minute) => seconds.map((second) => ((hour * 60 + minute) * 60 + second) * 1000));
  const isDay = (date: Date): boolean =>
    monthDays.includes(date.getUTCDate()) &&
    monthNumbers.includes(date.getUTCMonth() + 1) &&
    weekDays.includes(date.getUTCDay());
  return {
    nextAfterMs(atMs) {
      let startMs = Math.floor(atMs / dayMs) * dayMs;
      for (let searched = 0; searched < longestSearchDays; searched += 1, startMs += dayMs) {
        if (!isDay(new Date(startMs))) continue;
        for (const hour of hours) {
          if (startMs + (hour + 1) * 3_600_000 <= atMs) continue;
          const found = timesMs(hour).find((timeMs) => startMs + timeMs > atMs);
          if (found !== undefined) return startMs + found;
        }
      }
      throw new Error(`schedule '${text}' never comes`);
    },
  };
}

function parseField(text: string, field: Field, whole: string): number[] {
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const parsed = parsePart(part, field);
    if (parsed === undefined) throw new Error(`schedule '${whole}': '${part}' is no ${field.name}`);
    for (const value of parsed) values.add(value);
  }
  return [...values].sort((left, right) => left - right);
}

/** One of `*`, `n`, `n-m`, each with `/step` or not; a range may go over the end (`fri-mon`). */
function parsePart(part: string, field: Field): number[] | undefined {
  const match = /^(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:\/(\d+))?$/i.exec(part);
  if (match === null) return undefined;
  const [, from = '', to, stepText] = match;
  const step = Number(stepText ?? 1);
  if (step < 1 || (from === '*' && to !== undefined)) return undefined;
  const first = from === '*' ? field.least : valueOf(from, field);
  const last = endOf(first, { to, isOpen: from === '*' || stepText !== undefined }, field);
  return first === undefined || last === undefined ? undefined : range(first, last, step, field);
}

/** The values from first to last; a last one before the first is reached over the field's end. */
function range(first: number, last: number, step: number, field: Field): number[] {
  const size = field.most - field.least + 1;
  const span = last >= first ? last - first : last - first + size;
  const values: number[] = [];
  for (let offset = 0; offset <= span; offset += step) {
    values.push(((first + offset - field.least) % size) + field.least);
  }
  return values;
}

function endOf(
  first: number | undefined,
  range: { to: string | undefined; isOpen: boolean },
  field: Field,
): number | undefined {
  if (range.to !== undefined) return valueOf(range.to, field);
  return range.isOpen ? field.most : first;
}

function valueOf(text: string, field: Field): number | undefined {
  const named = field.names?.indexOf(text.toLowerCase().slice(0, 3)) ?? -1;
  if (named >= 0 && /^[a-z]+$/i.test(text)) return named + field.least;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return value >= field.least && value <= field.most ? value : undefined;
}
