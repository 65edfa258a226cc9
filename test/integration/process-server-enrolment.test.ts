import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Connection } from '../../appliance/mobility-agent/connection.ts';
import { enrol } from '../../appliance/mobility-agent/enrol.ts';
import { loadIdentity, type AgentIdentity } from '../../appliance/mobility-agent/identity.ts';
import { startProcessServer } from '../../appliance/process-server/process-server.ts';
import type { ProcessServer } from '../../appliance/process-server/contract.ts';
import { createAuthority, issueCertificate } from '../../shared/certificate.ts';
import { DomainError, type Fault } from '../../shared/fault.ts';
import { AgentWork } from '../../shared/wire/agent.ts';
import { runAgentCommand } from '../fixtures/process-server/site.ts';

const passphrase = 'the passphrase of this appliance';
const machine = { hostName: 'web01', osName: 'Debian', version: '1.0.0' };
let folder: string;
const running: ProcessServer[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'enrolment-'));
});

afterAll(async () => {
  await Promise.all(running.map((server) => server.close()));
  rmSync(folder, { recursive: true, force: true });
});

async function start(): Promise<ProcessServer> {
  const server = await startProcessServer({
    dataFolder: join(folder, randomUUID()),
    host: '127.0.0.1',
    port: 0,
    passphrase: () => passphrase,
    vaultId: 'vault',
    applianceId: randomUUID(),
    grant: () => Promise.reject(new DomainError({ code: 'Unavailable', message: 'There is no vault here.' })),
    onEvent: () => {},
  });
  running.push(server);
  return server;
}

function enrolAt(port: number, given: string, biosUuid: string = randomUUID()): Promise<AgentIdentity> {
  return enrol({ host: '127.0.0.1', port, passphrase: given, biosUuid, machine });
}

function nonce(): string {
  return randomBytes(32).toString('base64');
}

async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (error instanceof DomainError) return error.fault;
  throw new Error('It was not refused with a fault.', { cause: error });
}

async function poll(identity: AgentIdentity): Promise<AgentWork> {
  const connection = new Connection(identity);
  try {
    const body = { machine, disks: [], items: [] };
    return await connection.post({ path: '/v1/work?waitSeconds=0&known=', body, answer: AgentWork });
  } finally {
    connection.close();
  }
}

describe('enrolment', () => {
  test('lets in who knows the passphrase, in any Unicode form', async () => {
    const { port } = await start();
    const identity = await enrolAt(port, passphrase);
    expect((await poll(identity)).items).toEqual([]);
  });

  test('tells the fingerprint of the CA that agents then trust', async () => {
    const server = await start();
    const identity = await enrolAt(server.port, passphrase);
    const { fingerprintOf } = await import('../../shared/certificate.ts');
    expect(fingerprintOf(identity.caCertificatePem)).toBe(server.caFingerprint);
  });

  test('refuses a wrong passphrase with what to do, and makes guessers wait', async () => {
    const { port } = await start();
    for (let guess = 1; guess <= 5; guess += 1) {
      const fault = await faultOf(enrolAt(port, `guess ${guess}`));
      expect(fault).toMatchObject({ code: 'AuthenticationFailed', target: 'passphrase' });
      expect(fault.recommendedAction).toContain('secondsite appliance passphrase show');
    }
    const fault = await faultOf(enrolAt(port, passphrase));
    expect(fault).toMatchObject({ code: 'TooManyRequests' });
    expect(fault.recommendedAction).toContain('Wait a minute');
  });

  test('counts guesses that come all at once', async () => {
    const { port } = await start();
    const guesses = Array.from({ length: 12 }, (_, guess) => faultOf(enrolAt(port, `guess ${guess}`)));
    const codes = (await Promise.all(guesses)).map(({ code }) => code);
    expect(codes.filter((code) => code === 'AuthenticationFailed')).toHaveLength(5);
    expect(codes.filter((code) => code === 'TooManyRequests')).toHaveLength(7);
  });

  test('does not trust a server that can not prove the passphrase', async () => {
    const authority = await createAuthority({ commonName: 'impostor', days: 1, nowMs: Date.now() });
    const own = await issueCertificate(authority, {
      commonName: 'impostor',
      usage: 'server',
      days: 1,
      nowMs: Date.now(),
    });
    const impostor = createServer(
      { key: own.privateKeyPem, cert: own.certificatePem },
      (request, response) => {
        request.resume();
        const challenge = { challengeId: randomUUID(), serverNonce: nonce(), salt: nonce() };
        const { certificatePem } = own;
        const welcome = { certificatePem, caCertificatePem: authority.certificatePem, proof: nonce() };
        response.end(JSON.stringify(request.url?.endsWith('challenge') === true ? challenge : welcome));
      },
    );
    impostor.listen(0, '127.0.0.1');
    await once(impostor, 'listening');
    const { port } = impostor.address() as AddressInfo;
    const fault = await faultOf(enrolAt(port, passphrase));
    expect(fault).toMatchObject({ code: 'AuthenticationFailed' });
    expect(fault.message).toContain('not your process server');
    impostor.close();
  });
});

describe('an enrolled agent', () => {
  test('is refused with a certificate of another authority, or none', async () => {
    const { port } = await start();
    const identity = await enrolAt(port, passphrase);
    const authority = await createAuthority({ commonName: 'forger', days: 1, nowMs: Date.now() });
    const forged = await issueCertificate(authority, {
      commonName: identity.biosUuid,
      usage: 'client',
      days: 1,
      nowMs: Date.now(),
    });
    expect(await faultOf(poll({ ...identity, ...forged }))).toMatchObject({ code: 'AuthenticationFailed' });
    const bare = { host: identity.host, port, caCertificatePem: identity.caCertificatePem };
    const fault = await faultOf(poll(bare as AgentIdentity));
    expect(fault).toMatchObject({ code: 'AuthenticationFailed' });
    expect(fault.recommendedAction).toContain('secondsite agent enrol');
  });

  test('that enrols again is known by its new certificate only', async () => {
    const server = await start();
    const first = await enrolAt(server.port, passphrase);
    const second = await enrolAt(server.port, passphrase, first.biosUuid);
    expect(await faultOf(poll(first))).toMatchObject({ code: 'AuthenticationFailed' });
    expect((await poll(second)).items).toEqual([]);
    expect(server.agents()).toHaveLength(1);
  });

  test('does not trust another appliance on the same address', async () => {
    const [one, other] = [await start(), await start()];
    const identity = await enrolAt(one.port, passphrase);
    const fault = await faultOf(poll({ ...identity, port: other.port }));
    expect(fault).toMatchObject({ code: 'Unavailable' });
  });

  test('still is one after a restart of the process server', async () => {
    const dataFolder = join(folder, randomUUID());
    const options = {
      dataFolder,
      host: '127.0.0.1',
      port: 0,
      passphrase: () => passphrase,
      vaultId: 'vault',
      applianceId: randomUUID(),
      grant: () => Promise.reject(new Error('There is no vault here.')),
      onEvent: () => {},
    };
    const before = await startProcessServer(options);
    const identity = await enrolAt(before.port, passphrase);
    await before.close();
    const after = await startProcessServer(options);
    running.push(after);
    expect((await poll({ ...identity, port: after.port })).items).toEqual([]);
  });
});

describe('secondsite agent', () => {
  test('enrols, and keeps its key from others', async () => {
    const { port } = await start();
    const dataFolder = join(folder, 'cli');
    const file = join(folder, 'passphrase');
    writeFileSync(file, `${passphrase}\n`);
    const biosUuid = randomUUID().toUpperCase();
    const place = ['--server', `127.0.0.1:${port}`, '--data-folder', dataFolder, '--bios-uuid', biosUuid];
    const { code, out } = await runAgentCommand(['enrol', ...place, '--passphrase-file', file, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ enrolled: true, biosUuid: biosUuid.toLowerCase() });
    expect(statSync(join(dataFolder, 'agent.json')).mode & 0o077).toBe(0);
    expect(loadIdentity(dataFolder).biosUuid).toBe(biosUuid.toLowerCase());
    const written = readdirSync(dataFolder).map((name) => readFileSync(join(dataFolder, name), 'utf8'));
    expect(written.join('')).not.toContain(passphrase);
    const status = await runAgentCommand(['status', '--data-folder', dataFolder, '--json']);
    expect(JSON.parse(status.out)).toMatchObject({ running: false, items: [] });
  });

  test('says what is wrong, without a stack', async () => {
    const { port } = await start();
    const dataFolder = join(folder, 'refused');
    mkdirSync(dataFolder);
    const server = ['--server', `127.0.0.1:${port}`];
    const common = ['--data-folder', dataFolder, '--bios-uuid', randomUUID()];
    const environment = { SECONDSITE_PASSPHRASE: 'not the passphrase' };
    const cases: [string[], number, string][] = [
      [['enrol', ...server, ...common], 1, 'The passphrase is not the one of this configuration server.'],
      [['enrol', '--server', '127.0.0.1:1', ...common], 1, 'can not be reached'],
      [['enrol', '--server', 'appliance', ...common], 2, 'is not HOST:PORT'],
      [['enrol', ...server, '--data-folder', dataFolder, '--bios-uuid', 'x'], 2, 'is not a UUID'],
      [['enrol', ...server, ...common, '--passphrase-file', '/nowhere'], 2, 'can not be read (ENOENT)'],
      [['run', '--data-folder', dataFolder, '--disk', 'a=/b'], 1, 'is not enrolled'],
      [['run', '--data-folder', dataFolder, '--disk', 'a'], 2, 'is not ID=PATH'],
      [['run', '--data-folder', dataFolder], 1, 'is not enrolled'],
      [['fly'], 2, 'unknown command'],
    ];
    const ends = await Promise.all(cases.map(([options]) => runAgentCommand(options, environment)));
    for (const [index, { code, err }] of ends.entries()) {
      expect([cases[index]?.[1], err]).toEqual([code, expect.stringContaining(cases[index]?.[2] ?? '')]);
      expect(err).not.toMatch(/\n\s+at /u);
    }
  });
});
