import { createServer, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server as NetServer } from 'node:net';
import { createServer as createRawTlsServer } from 'node:tls';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createAuthority, issueCertificate, type CertifiedKey } from '../../../shared/certificate.ts';
import { VSphereClient, type VSphereSettings } from './client.ts';
import { discover } from './discover.ts';

const password = 'never-to-be-seen';
const wrongPin = Array.from({ length: 32 }, () => '00').join(':');

const serviceContent = `<returnval><rootFolder type="Folder">group-d1</rootFolder>
<propertyCollector type="PropertyCollector">pc</propertyCollector><viewManager type="ViewManager">vm</viewManager>
<about><fullName>vCenter</fullName><version>8.0</version><apiType>VirtualCenter</apiType></about>
<sessionManager type="SessionManager">sm</sessionManager>
<authorizationManager type="AuthorizationManager">am</authorizationManager></returnval>`;
const object = `<objects><obj type="VirtualMachine">vm-1</obj>
<propSet><name>name</name><val xsi:type="xsd:string">a</val></propSet></objects>`;

const envelope = (body: string): string =>
  `<?xml version="1.0"?><soapenv:Envelope><soapenv:Body>${body}</soapenv:Body></soapenv:Envelope>`;
const answerOf = (method: string, body: string): string =>
  envelope(`<${method}Response xmlns="urn:vim25">${body}</${method}Response>`);

let tls: CertifiedKey;
let closers: (() => void)[] = [];

beforeAll(async () => {
  const lifetime = { days: 1, nowMs: Date.now() };
  const authority = await createAuthority({ commonName: 'test', ...lifetime });
  tls = await issueCertificate(authority, { commonName: 'localhost', usage: 'server', ...lifetime });
});
afterEach(() => {
  for (const close of closers) close();
  closers = [];
});

function listen(server: NetServer): Promise<number> {
  closers.push(() => void server.close());
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

/** A server that is vSphere up to the call named, and answers that with whatever is given. */
async function serve(method: string, answer: (response: ServerResponse) => void): Promise<number> {
  const server = createTlsServer(
    { cert: tls.certificatePem, key: tls.privateKeyPem },
    (request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString()));
      request.on('end', () => {
        const called = /<(\w+) xmlns="urn:vim25">/u.exec(text)?.[1] ?? '';
        response.setHeader('content-type', 'text/xml');
        if (called === method) answer(response);
        else if (called === 'RetrieveServiceContent') response.end(answerOf(called, serviceContent));
        else if (called === 'CreateContainerView')
          response.end(answerOf(called, '<returnval type="ContainerView">v</returnval>'));
        else {
          response.setHeader('set-cookie', 'vmware_soap_session=1; Path=/');
          response.end(answerOf(called, ''));
        }
      });
    },
  );
  closers.push(() => server.closeAllConnections());
  return listen(server);
}

async function run(port: number, settings: Partial<VSphereSettings> = {}): Promise<unknown> {
  const client = await VSphereClient.connect({ host: '127.0.0.1', port, user: 'u', password, ...settings });
  try {
    return await discover(client, 'v');
  } finally {
    await client.close();
  }
}

async function failure(port: number, settings: Partial<VSphereSettings> = {}): Promise<unknown> {
  const error: unknown = await run(port, settings).then(
    () => 'no failure',
    (caught: unknown) => caught,
  );
  expect(String(error) + JSON.stringify(error)).not.toContain(password);
  return error;
}

describe('hostile answers', () => {
  const billionLaughs = `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;">]><l>&b;</l>`;

  it.each([
    ['entities that expand', billionLaughs],
    ['an entity of another file', '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'],
    ['an unknown entity', answerOf('RetrieveServiceContent', serviceContent.replace('8.0', '&b;'))],
    ['elements 100,000 deep', '<a>'.repeat(100_000)],
    ['a tag that never ends', envelope(`<a ${'b '.repeat(100_000)}`)],
    ['tags that do not match', '<a><b></a></b>'],
    ['half an answer', answerOf('RetrieveServiceContent', serviceContent).slice(0, 300)],
    ['names that reach into prototypes', envelope('<__proto__><constructor/></__proto__>')],
  ])('refuses %s', async (_what, xml) => {
    const port = await serve('RetrieveServiceContent', (response) => response.end(xml));
    expect(await failure(port)).toMatchObject({ reason: 'BadAnswer', fault: { code: 'RemoteFailure' } });
  });

  it('refuses the same within an object', async () => {
    for (const inner of ['<!DOCTYPE a>', '<![CDATA[x]]>', '<a>'.repeat(10_000), '<a></b>']) {
      const xml = answerOf(
        'RetrievePropertiesEx',
        `<returnval>${object.replace('<obj ', `${inner}<obj `)}</returnval>`,
      );
      const port = await serve('RetrievePropertiesEx', (response) => response.end(xml));
      expect(await failure(port)).toMatchObject({ reason: 'BadAnswer' });
    }
  });

  it.each([
    ['one object', '<returnval><objects>'],
    ['what is no object', '<returnval>'],
  ])('stops reading when %s never ends', async (_what, start) => {
    let sent = 0;
    const port = await serve('RetrievePropertiesEx', (response) => {
      response.write(envelope('').slice(0, 60) + start);
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(16_384))) sent += 16_384;
      };
      response.on('drain', more);
      more();
    });
    expect(await failure(port, { limits: { partChars: 100_000 } })).toMatchObject({ reason: 'BadAnswer' });
    expect(sent).toBeLessThan(100 * 1024 * 1024);
  });

  it('stops reading when the answer is larger than any may be', async () => {
    const xml = answerOf('RetrievePropertiesEx', `<returnval>${object.repeat(1000)}</returnval>`);
    const port = await serve('RetrievePropertiesEx', (response) => response.end(xml));
    expect(await failure(port, { limits: { answerBytes: 50_000 } })).toMatchObject({
      reason: 'BadAnswer',
      message: expect.stringContaining('50000 bytes'),
    });
  });

  it('stops asking when pages are empty without end', async () => {
    const xml = answerOf('RetrievePropertiesEx', '<returnval><token>0</token></returnval>');
    const port = await serve('RetrievePropertiesEx', (response) => response.end(xml));
    expect(await failure(port)).toMatchObject({
      reason: 'BadAnswer',
      message: expect.stringContaining('pages'),
    });
  });

  it('lists a machine apart whose values are none', async () => {
    const values = { 'config.uuid': 'x', 'config.hardware.device': '', 'runtime.powerState': 'melted' };
    const sets = Object.entries(values).map(
      ([name, value]) => `<propSet><name>${name}</name><val>${value}</val></propSet>`,
    );
    const xml = answerOf(
      'RetrievePropertiesEx',
      `<returnval>${object.replace('</objects>', `${sets.join('')}</objects>`)}</returnval>`,
    );
    const port = await serve('RetrievePropertiesEx', (response) => response.end(xml));
    expect(await run(port)).toMatchObject({
      machines: [],
      leftOut: [{ moref: 'vm-1', name: 'a', reason: expect.stringContaining('biosUuid, powerState') }],
    });
  });
});

describe('servers that are none', () => {
  it('says that a web page is not vSphere', async () => {
    const port = await serve('RetrieveServiceContent', (response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!DOCTYPE html><p>Welcome</p>');
    });
    expect(await failure(port)).toMatchObject({ reason: 'NotVSphere' });
  });

  it('says that other SOAP is not vSphere', async () => {
    const port = await serve('RetrieveServiceContent', (response) => response.end(envelope('<Other/>')));
    expect(await failure(port)).toMatchObject({ reason: 'NotVSphere' });
  });

  it('says that vSphere is still starting', async () => {
    const port = await serve('RetrieveServiceContent', (response) => response.writeHead(503).end());
    expect(await failure(port)).toMatchObject({ reason: 'Unreachable', fault: { code: 'Unavailable' } });
  });

  it('says that there is no TLS', async () => {
    const port = await listen(createServer());
    expect(await failure(port)).toMatchObject({
      reason: 'Unreachable',
      message: expect.stringContaining('no TLS'),
    });
  });

  it('says that nothing listens', async () => {
    const port = await listen(createTcpServer());
    closers.pop()?.();
    expect(await failure(port)).toMatchObject({
      reason: 'Unreachable',
      message: `127.0.0.1:${port}: nothing listens there`,
    });
  });

  it('gives up on a server that never shakes hands', async () => {
    const server = createTcpServer((socket) => closers.push(() => socket.destroy()));
    const port = await listen(server);
    expect(await failure(port, { limits: { connectMs: 50 } })).toMatchObject({
      reason: 'Unreachable',
      message: expect.stringContaining('No connection'),
    });
  });

  it('gives up on a server that says nothing, before its answer and within', async () => {
    for (const begin of [false, true]) {
      const port = await serve('Login', (response) => {
        if (begin) response.write('<?xml ');
      });
      expect(await failure(port, { limits: { idleMs: 50 } })).toMatchObject({
        reason: 'Unreachable',
        message: expect.stringContaining('sent nothing'),
      });
    }
  });

  it('gives up on an answer that comes drop by drop', async () => {
    const port = await serve('Login', (response) => {
      const drip = setInterval(() => response.write(' '), 5);
      response.on('close', () => clearInterval(drip));
    });
    expect(await failure(port, { limits: { callMs: 200 } })).toMatchObject({
      reason: 'Unreachable',
      message: expect.stringContaining('did not finish'),
    });
  });

  it('says that the connection was cut', async () => {
    const port = await serve('Login', (response) => {
      response.write('<?xml ');
      setImmediate(() => response.destroy());
    });
    expect(await failure(port)).toMatchObject({
      reason: 'Unreachable',
      message: expect.stringContaining('cut'),
    });
  });
});

describe('a server whose certificate has changed', () => {
  it('gets not one byte of the request', async () => {
    let bytes = 0;
    const server = createRawTlsServer({ cert: tls.certificatePem, key: tls.privateKeyPem }, (socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        bytes += chunk.length;
        socket.destroy();
      });
    });
    const port = await listen(server);
    const ended = new Promise<void>((resolve) => {
      server.once('connection', (socket) => socket.once('close', () => resolve()));
    });
    expect(await failure(port, { fingerprint: wrongPin })).toMatchObject({ reason: 'CertificateChanged' });
    await ended;
    expect(bytes).toBe(0);
    expect(await failure(port)).toMatchObject({ reason: 'Unreachable' });
    expect(bytes).toBeGreaterThan(0);
  });

  it('is refused in the middle of a session as well', async () => {
    const lifetime = { days: 1, nowMs: Date.now() };
    const authority = await createAuthority({ commonName: 'other', ...lifetime });
    const other = await issueCertificate(authority, {
      commonName: 'localhost',
      usage: 'server',
      ...lifetime,
    });
    const port = await serve('Login', (response) => {
      response.setHeader('set-cookie', 'vmware_soap_session=1; Path=/');
      response.setHeader('connection', 'close');
      response.end(answerOf('Login', ''));
    });
    const client = await VSphereClient.connect({ host: '127.0.0.1', port, user: 'u', password });
    for (const close of closers) close();
    const impostor = createTlsServer({ cert: other.certificatePem, key: other.privateKeyPem });
    await new Promise<void>((resolve) => impostor.listen(port, '127.0.0.1', resolve));
    closers = [() => void impostor.close()];
    await expect(discover(client, 'v')).rejects.toMatchObject({ reason: 'CertificateChanged' });
    await client.close();
  });
});
