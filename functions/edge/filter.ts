import { DomainError } from '../../shared/fault.ts';

/**
 * Reads an OData `$filter` of the simplest kind, which is what the clients send: `name eq 'x' and state eq 'y'`.
 * Answers wanted values by field, fields in lower case.
 * @throws InvalidRequest for anything else, and for fields that the list can not be filtered by.
 */
export function parseFilter(filter: string | null, fields: readonly string[]): Map<string, string> {
  const wanted = new Map<string, string>();
  if (filter === null || filter.trim() === '') return wanted;
  for (const part of splitConjunction(filter.slice(0, 4_000))) {
    const match = /^\(?\s*([A-Za-z/]{1,60})\s+eq\s+(?:'((?:[^']|'')*)'|([^\s']+))\s*\)?$/iu.exec(part.trim());
    const field = match?.[1]?.toLowerCase();
    if (match === null || field === undefined || !fields.some((name) => name.toLowerCase() === field)) {
      throw new DomainError({
        code: 'InvalidRequest',
        message: `The $filter '${part.trim().slice(0, 200)}' can not be used here.`,
        target: '$filter',
        recommendedAction: `Compare one of these with eq, joined by and: ${fields.join(', ')}.`,
      });
    }
    wanted.set(field, (match[2] ?? match[3] ?? '').replaceAll("''", "'"));
  }
  return wanted;
}

/** Splits at ` and ` outside of quotes. */
function splitConjunction(filter: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  for (let at = 0; at < filter.length; at += 1) {
    if (filter[at] === "'") quoted = !quoted;
    if (!quoted && /^ and /iu.test(filter.slice(at, at + 5))) {
      parts.push(filter.slice(start, at));
      start = at + 5;
    }
  }
  return [...parts, filter.slice(start)];
}

/** How many rows a caller wants at once: `$take` or `take`, 1 to 1,000. @throws InvalidRequest */
export function takeOf(query: URLSearchParams): number {
  const text = query.get('$take') ?? query.get('take');
  if (text === null || text === '') return 1_000;
  const take = Number(text);
  if (Number.isInteger(take) && take >= 1) return Math.min(take, 1_000);
  throw new DomainError({
    code: 'InvalidRequest',
    message: `The $take '${text.slice(0, 50)}' is not a whole number from 1.`,
    target: '$take',
  });
}
