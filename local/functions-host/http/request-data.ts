import type { IncomingMessage } from 'node:http';

import type { RpcHttpData } from '../core-api.ts';
import type { RouteValues } from './route.ts';

type NullableMap = Record<string, { value: string }>;

/** Splits the target of a request line into path and query, whatever it holds. */
export function splitTarget(target: string): { path: string; query: string } {
  const origin = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i.exec(target);
  const relative = origin === null ? target : target.slice(origin[0].length);
  const withoutFragment = relative.split('#', 1)[0] ?? '';
  const mark = withoutFragment.indexOf('?');
  const path = mark < 0 ? withoutFragment : withoutFragment.slice(0, mark);
  return {
    path: path.startsWith('/') ? path : `/${path}`,
    query: mark < 0 ? '' : withoutFragment.slice(mark),
  };
}

/** The query's values by the first-seen casing of their key; several values of one key are joined by commas. */
export function readQuery(query: string): Map<string, string> {
  const values = new Map<string, string>();
  const casing = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(query)) {
    const known = casing.get(key.toLowerCase());
    if (known === undefined) {
      casing.set(key.toLowerCase(), key);
      values.set(key, value);
    } else {
      values.set(known, `${values.get(known) ?? ''},${value}`);
    }
  }
  return values;
}

/** A request as the seam wants it. The URL keeps the path as it was sent. */
export function toRequestData(options: {
  request: IncomingMessage;
  body: Buffer;
  origin: string;
  routeValues: RouteValues;
}): RpcHttpData {
  const { request, body, routeValues } = options;
  const { path, query } = splitTarget(request.url ?? '/');
  const queryValues = readQuery(query);
  const nullableHeaders: NullableMap = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined)
      nullableHeaders[name] = { value: Array.isArray(value) ? value.join(',') : value };
  }
  const nullableQuery: NullableMap = {};
  for (const [key, value] of queryValues) nullableQuery[key] = { value };
  return {
    method: request.method ?? 'GET',
    url: `${originOf(request, options.origin)}${path}${query}`,
    nullableHeaders,
    nullableQuery,
    nullableParams: mixParameters(body, queryValues, routeValues),
    body: body.length === 0 ? null : { bytes: body },
  };
}

/** The origin that the client used, when its Host header is one. */
function originOf(request: IncomingMessage, fallback: string): string {
  const host = request.headers.host ?? '';
  const scheme = fallback.slice(0, fallback.indexOf(':'));
  const isHost = /^([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$/i.test(host);
  return isHost && URL.canParse(`${scheme}://${host}`) ? `${scheme}://${host}` : fallback;
}

/**
 * The host mixes scalar top-level fields of a JSON body, then the query, then the route's values into `params`:
 * the last value wins, the first-seen casing of its name stays. `code` in the query is the host's own.
 */
function mixParameters(body: Buffer, query: Map<string, string>, routeValues: RouteValues): NullableMap {
  const mixed = new Map<string, { name: string; value: string }>();
  const put = (name: string, value: string): void => {
    const key = name.toLowerCase();
    mixed.set(key, { name: mixed.get(key)?.name ?? name, value });
  };
  for (const [name, value] of scalarFields(body)) put(name, value);
  for (const [name, value] of query) if (name.toLowerCase() !== 'code') put(name, value);
  for (const [name, value] of Object.entries(routeValues)) put(name, value);
  return Object.fromEntries([...mixed.values()].map(({ name, value }) => [name, { value }]));
}

function scalarFields(body: Buffer): [string, string][] {
  // 0x7b is '{', 0x20 and below white space: anything else is no JSON object.
  const first = body.find((byte) => byte > 0x20);
  if (first !== 0x7b) return [];
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString('utf8'));
  } catch {
    return [];
  }
  return Object.entries(parsed as object).flatMap(([name, value]) => {
    if (typeof value === 'boolean') return [[name, value ? 'True' : 'False'] satisfies [string, string]];
    return typeof value === 'string' || typeof value === 'number'
      ? [[name, String(value)] as [string, string]]
      : [];
  });
}
