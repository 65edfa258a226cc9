import { readFileSync, statSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createAuthority, issueServerCertificate } from '../../local/identity/authority.ts';
import {
  fixtureApp,
  startHost,
  temporaryFolder,
  type HostProcess,
  type TemporaryFolder,
} from './functions-host-fixture.ts';

let folder: TemporaryFolder;
let host: HostProcess;

beforeAll(async () => {
  folder = temporaryFolder();
  host = await startHost({
    appFolder: fixtureApp('http'),
    dataFolder: folder.path,
    settings: { SOME_SETTING: 'set' },
  });
});

afterAll(async () => {
  await host.stop();
  folder.remove();
});

type Description = {
  name: string;
  method: string;
  url: string;
  params: Record<string, string>;
  query: Record<string, string>;
  header: string | null;
  body: string;
};

async function described(path: string, init: RequestInit = {}): Promise<Description> {
  const response = await fetch(`${host.url}${path}`, init);
  expect(response.status).toBe(200);
  return (await response.json()) as Description;
}

/** Sends bytes as they are; gives the status line and the body. */
function sendRaw(text: string): Promise<{ status: number; body: string }> {
  const { port, hostname } = new URL(host.url);
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(Number(port), hostname, () => socket.end(text));
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => (answer += chunk));
    socket.on('error', reject);
    socket.on('close', () => {
      const status = Number(answer.split(' ')[1]);
      resolve({ status, body: answer.slice(answer.indexOf('\r\n\r\n') + 4) });
    });
  });
}

describe('routes', () => {
  test('are tried in the order of function names, and a constraint that does not hold falls through', async () => {
    expect((await described('/items/12')).name).toBe('a01Int');
    expect((await described('/items/3f2504e0-4f89-11d3-9a0c-0305e82c3301')).name).toBe('a02Guid');
    expect((await described('/items/9999999999')).name).toBe('a03Any');
    expect((await described('/items/special')).name).toBe('a03Any');
    expect((await described('/items/special', { method: 'DELETE' })).name).toBe('a04Literal');
  });

  test('ignore case, and a slash at the end', async () => {
    expect(await described('/ITEMS/AbC/')).toMatchObject({ name: 'a03Any', params: { id: 'AbC' } });
    expect((await described('/oPTIONAL/x/', { method: 'POST' })).params).toEqual({ first: 'x' });
  });

  test('answer 404 to a wrong method, HEAD included, and to paths that are none', async () => {
    for (const [path, method] of [
      ['/items/1', 'PATCH'],
      ['/items/1', 'HEAD'],
      ['/items/1', 'TRACE'],
      ['/items', 'GET'],
      ['/items//1', 'GET'],
      ['/items/1/2', 'GET'],
      ['/range/6/ab', 'GET'],
      ['/range/1/a1', 'GET'],
      ['/', 'GET'],
    ]) {
      const { status } = await sendRaw(
        `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
      );
      expect([path, method, status]).toEqual([path, method, 404]);
    }
  });

  test('have optional, mixed, default and catch-all parameters', async () => {
    expect((await described('/optional/a/b', { method: 'POST' })).params).toEqual({
      first: 'a',
      second: 'b',
    });
    expect((await described('/files/a.b.tar')).params).toEqual({ name: 'a.b', extension: 'tar' });
    expect((await described('/pages')).params).toEqual({ number: '1' });
    expect((await described('/rest/a/b%20c/d')).params).toEqual({ rest: 'a/b c/d' });
    expect((await described('/rest')).params).toEqual({});
    expect((await described('/range/5/abc')).params).toEqual({ n: '5', w: 'abc' });
    expect((await described('/noRoute')).name).toBe('noRoute');
  });
});

describe('a request', () => {
  test('reaches the app with its path as it was sent', async () => {
    const path = '/items/a%2Fb%20%F0%9F%98%80%C3%A4~!$&()*+,;=:@';
    const { url, params } = await described(path);
    expect(url).toBe(`${host.url}${path}`);
    expect(params).toEqual({ id: 'a%2Fb 😀ä~!$&()*+,;=:@' });
    const long = `/items/${'x'.repeat(1000)}`;
    expect((await described(long)).url).toBe(`${host.url}${long}`);
  });

  test('has query and JSON body mixed into its params, the first-seen casing of a name staying', async () => {
    const { params } = await described('/items/real?ID=x&other=1&code=secret', { method: 'PUT', body: '' });
    expect(params).toEqual({ ID: 'real', other: '1' });
    const body = JSON.stringify({ First: 'body', count: 2, flag: true, deep: { no: 1 }, nil: null });
    const mixed = await described('/optional/route?count=3', { method: 'POST', body });
    expect(mixed.params).toEqual({ First: 'route', count: '3', flag: 'True' });
    expect(mixed.body).toBe(body);
  });

  test('keeps its query, several values of one name joined', async () => {
    const { query, url } = await described('/items/1?a=1&A=2&b=%C3%A4+%2B&api-version=2025-08-01');
    expect(query).toEqual({ a: '1,2', b: 'ä +', 'api-version': '2025-08-01' });
    expect(url).toContain('?a=1&A=2&b=%C3%A4+%2B&api-version=2025-08-01');
  });

  test('keeps its headers and its body, whatever the body is', async () => {
    const { header, body } = await described('/rest/x', {
      method: 'POST',
      headers: { 'x-test': 'ok', 'content-type': 'application/json' },
      body: '{"broken":',
    });
    expect({ header, body }).toEqual({ header: 'ok', body: '{"broken":' });
    const size = 50 * 1024 * 1024;
    const response = await fetch(`${host.url}/size`, { method: 'POST', body: new Uint8Array(size) });
    expect(await response.json()).toEqual({ size });
  });

  test('of more than 100 MB is refused, its length known or not', async () => {
    const tooLarge = 100 * 1024 * 1024 + 1;
    const known = await sendRaw(`POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: ${tooLarge}\r\n\r\n`);
    expect(known.status).toBe(413);
    const chunk = new Uint8Array(1024 * 1024 + 1);
    let sent = 0;
    const body = new ReadableStream({
      pull(controller) {
        if (sent === 100) controller.close();
        else controller.enqueue(chunk);
        sent += 1;
      },
    });
    const streamed = fetch(`${host.url}/size`, { method: 'POST', body, duplex: 'half' }).then(
      ({ status }) => status,
      () => 413,
    );
    expect(await streamed).toBe(413);
  });

  test('with an odd target or host is answered, and the host goes on', async () => {
    const targets = [
      '//',
      '/%',
      '/items/%zz',
      '/items/%ff%fe',
      '/items/a b',
      '?',
      '/?',
      '/items/%00',
      '*',
      '/..%2f..',
      '/rest/\\..\\x',
    ];
    for (const target of targets) {
      const { status } = await sendRaw(`GET ${target} HTTP/1.1\r\nHost: a:b:c\r\nConnection: close\r\n\r\n`);
      expect([200, 400, 404]).toContain(status);
    }
    const absolute = await sendRaw(
      'GET http://other.example/items/1?x=1 HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n',
    );
    expect(JSON.parse(absolute.body)).toMatchObject({
      name: 'a01Int',
      url: 'http://other.example/items/1?x=1',
    });
    const noHost = await sendRaw('GET /items/1 HTTP/1.0\r\n\r\n');
    expect(JSON.parse(noHost.body)).toMatchObject({ url: `${host.url}/items/1` });
    expect((await described('/items/%zz')).params).toEqual({ id: '%zz' });
  });
});

describe('an answer', () => {
  test('is text, JSON, bytes, a stream, or nothing', async () => {
    const get = (kind: string): Promise<Response> => fetch(`${host.url}/answer/${kind}`);
    expect(await (await get('text')).text()).toBe('plain');
    const json = await get('json');
    expect([json.status, json.headers.get('x-made'), await json.json()]).toEqual([201, 'yes', { a: 1 }]);
    expect([...new Uint8Array(await (await get('buffer')).arrayBuffer())]).toEqual([0, 255, 1, 254]);
    expect(await (await get('stream')).text()).toBe('one two');
    for (const kind of ['nothing', 'noContent']) expect((await get(kind)).status).toBe(204);
    const head = await fetch(`${host.url}/answer/text`, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '5', '']);
  });

  test('is an empty 500 when the function throws or returns what is no response; the log has the error', async () => {
    for (const kind of ['throws', 'notAnObject']) {
      const response = await fetch(`${host.url}/answer/${kind}`);
      expect([response.status, await response.text()]).toEqual([500, '']);
    }
    expect(host.log()).toMatch(/error \[Function\.answer\] Failed .*a bug in the app/);
  });

  test('sets cookies', async () => {
    const { headers } = await fetch(`${host.url}/answer/cookies`);
    expect(headers.getSetCookie()).toEqual([
      'plain=a%20b%3Bc; path=/',
      'full=x; max-age=60; domain=d.example; path=/p; secure; samesite=lax; httponly',
    ]);
  });
});

/** Status and body of a request that brings a key in its header, or none. */
async function withKey(path: string, key?: string): Promise<string> {
  const headers: Record<string, string> = key === undefined ? {} : { 'x-functions-key': key };
  const response = await fetch(`${host.url}${path}`, { headers });
  return response.status === 200 ? '200' : `${response.status} '${await response.text()}'`;
}

test('keys open what they are for; the header beats the query, and a bad key gets an empty 401', async () => {
  const path = join(folder.path, 'host-keys.json');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const { masterKey, functionKeys } = JSON.parse(readFileSync(path, 'utf8')) as {
    masterKey: string;
    functionKeys: { default: string };
  };
  const key = functionKeys.default;
  expect(await withKey('/locked')).toBe("401 ''");
  expect(await withKey('/locked', key)).toBe('200');
  expect(await withKey(`/locked?code=${key}`)).toBe('200');
  expect(await withKey(`/locked?code=${key}`, 'wrong')).toBe("401 ''");
  expect(await withKey('/locked?code=wrong', key)).toBe('200');
  expect(await withKey('/locked/more', key)).toBe("401 ''");
  expect(await withKey('/locked/more', masterKey)).toBe('200');
  expect(await withKey('/items/1', 'wrong')).toBe('200');
});

test('log levels of host.json hold for a single function', async () => {
  expect(await (await fetch(`${host.url}/quiet`)).text()).toBe('set');
  expect(host.log()).toContain('error [Function.quiet.User] to be seen');
  expect(host.log()).not.toContain('not to be seen');
  expect(host.log()).toContain('information [Function.answer.User] answering');
});

test('it answers by https when it is given key and certificate', async () => {
  const authority = await createAuthority(join(folder.path, 'ca'));
  const tls = await issueServerCertificate(authority);
  const secure = await startHost({
    appFolder: fixtureApp('http'),
    dataFolder: folder.path,
    settings: {},
    tls,
  });
  const body = await new Promise<string>((resolve, reject) => {
    httpsRequest(`${secure.url}/items/1`, { ca: authority.certificatePem }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
  expect(JSON.parse(body)).toMatchObject({ url: `${secure.url}/items/1` });
  expect(await secure.stop()).toBe(0);
});
