import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { createAuthority, issueServerCertificate } from './authority.ts';
import { startIssuer } from './issuer.ts';
import { ensureTenant } from './tenant.ts';
import { ensureTokenKey, mintToken, ROLES, TOKEN_AUDIENCE } from './token.ts';
import { ensureVaultKeyFile } from './vault-key.ts';

let dataFolder: string;
beforeEach(() => {
  dataFolder = mkdtempSync(join(tmpdir(), 'secondsite-identity-'));
});
afterEach(() => rmSync(dataFolder, { recursive: true, force: true }));

function modeOf(...path: string[]): string {
  return (statSync(join(dataFolder, ...path)).mode & 0o777).toString(8);
}

describe('authority', () => {
  test('is made once, its key readable by the owner only', async () => {
    const first = await createAuthority(join(dataFolder, 'ca'));
    const second = await createAuthority(join(dataFolder, 'ca'));
    expect(second).toEqual(first);
    expect(modeOf('ca', 'ca-key.pem')).toBe('600');
    expect(readFileSync(first.certificatePath, 'utf8')).toBe(first.certificatePem);
  });

  test('is replaced when it would expire before what it signs', async () => {
    const old = await createAuthority(join(dataFolder, 'ca'), Date.now() - 3400 * 24 * 3600 * 1000);
    const renewed = await createAuthority(join(dataFolder, 'ca'));
    expect(renewed.certificatePem).not.toBe(old.certificatePem);
  });

  test('issues server certificates for this machine', async () => {
    const authority = await createAuthority(join(dataFolder, 'ca'));
    const { cert } = await issueServerCertificate(authority);
    const certificate = new X509Certificate(cert);
    expect(certificate.verify(new X509Certificate(authority.certificatePem).publicKey)).toBe(true);
    expect(certificate.checkHost('localhost')).toBe('localhost');
    expect(certificate.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(certificate.checkIP('::1')).toBeDefined();
  });
});

describe('tokens', () => {
  test.each(['contributor', 'operator', 'reader'] as const)(
    'of a %s verify against the keys the issuer serves over https',
    async (role) => {
      const authority = await createAuthority(join(dataFolder, 'ca'));
      const tls = await issueServerCertificate(authority);
      const { tenantId } = ensureTenant(dataFolder);
      const key = ensureTokenKey(dataFolder);
      const issuer = await startIssuer({ key, tenantId, tls });
      try {
        const configuration = await getJson(
          `${issuer.issuer}/.well-known/openid-configuration`,
          authority.certificatePem,
        );
        expect(configuration).toMatchObject({ issuer: issuer.issuer, jwks_uri: issuer.jwksUri });
        const keys = await getJson(issuer.jwksUri, authority.certificatePem);
        expect(JSON.stringify(keys)).not.toContain('"d"');
        const { token } = await mintToken({ key, issuer: issuer.issuer, tenantId, role });
        const { payload } = await jwtVerify(token, createLocalJWKSet(keys as JSONWebKeySet), {
          issuer: issuer.issuer,
          audience: TOKEN_AUDIENCE,
        });
        expect(payload).toMatchObject({ tid: tenantId, roles: [ROLES[role]], name: `Local ${role}` });
        expect(payload.exp! - payload.iat!).toBe(3600);
      } finally {
        await issuer.close();
      }
    },
  );
});

describe('files of the data folder', () => {
  test('are made once and readable by the owner only', () => {
    const tenant = ensureTenant(dataFolder);
    const key = ensureTokenKey(dataFolder);
    const vaultKey = readFileSync(ensureVaultKeyFile(dataFolder), 'utf8');
    expect(ensureTenant(dataFolder)).toEqual(tenant);
    expect(ensureTokenKey(dataFolder)).toEqual(key);
    expect(readFileSync(ensureVaultKeyFile(dataFolder), 'utf8')).toBe(vaultKey);
    expect(Buffer.from((JSON.parse(vaultKey) as { wrapping: string }).wrapping, 'base64')).toHaveLength(32);
    for (const name of ['tenant.json', 'token-key.json', 'vault-key.json']) expect(modeOf(name)).toBe('600');
  });

  test('are never overwritten when they are damaged', () => {
    const path = ensureVaultKeyFile(dataFolder);
    writeFileSync(path, '{"kid":');
    expect(() => ensureVaultKeyFile(dataFolder)).toThrow(`${path} is not what it should be`);
    expect(readFileSync(path, 'utf8')).toBe('{"kid":');
  });
});

function getJson(url: string, ca: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    get(url, { ca }, (response) => void text(response).then((body) => resolve(JSON.parse(body)), reject)).on(
      'error',
      reject,
    );
  });
}
