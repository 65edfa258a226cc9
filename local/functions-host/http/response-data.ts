import type { ServerResponse } from 'node:http';

import type { RpcHttpCookie, RpcHttpData, RpcTypedData } from '../core-api.ts';

const sameSiteNames = { lax: 'lax', strict: 'strict', explicitNone: 'none' };
const hopByHop = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'upgrade']);

/** Writes what a function returned. A function that returns nothing answers 204. */
export function writeResponse(response: ServerResponse, data: RpcTypedData | null | undefined): void {
  const http = data?.http;
  if (http === undefined) {
    response.writeHead(204).end();
    return;
  }
  const body = toBuffer(http.body);
  response.statusCode = Number(http.statusCode ?? 200);
  writeHeaders(response, http);
  if (![204, 304].includes(response.statusCode)) response.setHeader('content-length', body.length);
  response.end(body);
}

function writeHeaders(response: ServerResponse, http: RpcHttpData): void {
  for (const [name, value] of Object.entries(http.headers ?? {})) {
    if (!hopByHop.has(name.toLowerCase())) response.setHeader(name, value);
  }
  const cookies = http.cookies ?? [];
  if (cookies.length === 0) return;
  const fromHeader = http.headers?.['set-cookie'];
  response.setHeader('set-cookie', [
    ...(fromHeader === undefined ? [] : [fromHeader]),
    ...cookies.map(serializeCookie),
  ]);
}

function toBuffer(data: RpcTypedData | null | undefined): Buffer {
  if (data?.bytes !== undefined) {
    return Buffer.from(data.bytes.buffer, data.bytes.byteOffset, data.bytes.byteLength);
  }
  return Buffer.from(data?.string ?? data?.json ?? '');
}

function serializeCookie(cookie: RpcHttpCookie): string {
  const attributes = [
    `${encodeURIComponent(cookie.name)}=${encodeURIComponent(cookie.value)}`,
    cookie.expires && `expires=${new Date(cookie.expires.value.seconds * 1000).toUTCString()}`,
    cookie.maxAge && `max-age=${cookie.maxAge.value}`,
    cookie.domain && `domain=${cookie.domain.value}`,
    `path=${cookie.path?.value ?? '/'}`,
    cookie.secure?.value === true && 'secure',
    cookie.sameSite !== undefined &&
      cookie.sameSite !== 'none' &&
      `samesite=${sameSiteNames[cookie.sameSite]}`,
    cookie.httpOnly?.value === true && 'httponly',
  ];
  return attributes.filter((attribute) => typeof attribute === 'string').join('; ');
}
