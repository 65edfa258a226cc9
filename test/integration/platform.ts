/** The local platform with the built function app on it, for one test file: `npm run build` comes first. */
import { mkdtemp, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import tls from 'node:tls';
import { type AccessToken, type TokenCredential } from '@azure/core-auth';
import { RecoveryServicesClient } from '@azure/arm-recoveryservices';
import { SiteRecoveryManagementClient } from '@azure/arm-recoveryservices-siterecovery';
import { type Role, ensureTokenKey, mintToken } from '../../local/identity/token.ts';
import { type Platform, startPlatform } from '../../local/platform/platform.ts';

export type TestPlatform = {
  platform: Platform;
  subscriptionId: string;
  resourceGroup: string;
  /** What the function app and the other parts said. */
  lines: string[];
  credential(role: Role): TokenCredential;
  vaults(role?: Role): RecoveryServicesClient;
  siteRecovery(role?: Role): SiteRecoveryManagementClient;
  /** A plain request; the path begins with a slash. A bearer token of the role goes with it unless `role` is null. */
  request(
    method: string,
    path: string,
    options?: { body?: unknown; role?: Role | null; headers?: Record<string, string> },
  ): Promise<{ status: number; headers: Headers; body: unknown }>;
  /** Runs a timer's function at once, as an operator would; answers before it has ended. */
  runTimer(name: string): Promise<void>;
  /** ARM id of a vault. */
  vaultId(vaultName: string): string;
  close(): Promise<void>;
};

/** Everything a paged list of an SDK has. */
export async function listAll<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of pages) all.push(one);
  return all;
}

/** Starts a platform of its own, in a folder of its own. One caller of a test may ask as much as it likes. */
export async function startTestPlatform(appSettings: Record<string, string> = {}): Promise<TestPlatform> {
  const dataFolder = await mkdtemp(join(tmpdir(), 'secondsite-test-'));
  const lines: string[] = [];
  const platform = await startPlatform({
    dataFolder,
    appFolder: resolve(import.meta.dirname, '../..'),
    appSettings: { CALLER_REQUESTS_PER_SECOND: '100000', ...appSettings },
    onLine: (name, line) => lines.push(`${name}: ${line}`),
  });
  const { config } = platform;
  tls.setDefaultCACertificates([
    ...tls.getCACertificates('bundled'),
    readFileSync(config.caCertificatePath, 'utf8'),
  ]);
  const key = ensureTokenKey(dataFolder);
  const tokenOf = (role: Role): Promise<{ token: string; expiresAtMs: number }> =>
    mintToken({ key, issuer: config.tokenIssuer, tenantId: config.tenantId, role });
  const credential = (role: Role): TokenCredential => ({
    getToken: async (): Promise<AccessToken> => {
      const { token, expiresAtMs } = await tokenOf(role);
      return { token, expiresOnTimestamp: expiresAtMs };
    },
  });
  const { subscriptionId, resourceGroup, armEndpoint } = config;
  return {
    platform,
    subscriptionId,
    resourceGroup,
    lines,
    credential,
    vaults: (role = 'contributor') =>
      new RecoveryServicesClient(credential(role), subscriptionId, { endpoint: armEndpoint }),
    siteRecovery: (role = 'contributor') =>
      new SiteRecoveryManagementClient(credential(role), subscriptionId, { endpoint: armEndpoint }),
    async request(method, path, { body, role = 'contributor', headers = {} } = {}) {
      const response = await fetch(`${armEndpoint.replace(/\/$/u, '')}${path}`, {
        method,
        headers: {
          ...(role !== null && { authorization: `Bearer ${(await tokenOf(role)).token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        body: text === '' ? undefined : JSON.parse(text),
      };
    },
    async runTimer(name) {
      const { masterKey } = JSON.parse(
        readFileSync(join(dataFolder, 'functions-host', 'host-keys.json'), 'utf8'),
      ) as { masterKey: string };
      const { status } = await fetch(`${armEndpoint.replace(/\/$/u, '')}/admin/functions/${name}`, {
        method: 'POST',
        headers: { 'x-functions-key': masterKey, 'content-type': 'application/json' },
        body: '{}',
      });
      if (status !== 202) throw new Error(`The timer ${name} can not be run: ${status}`);
    },
    vaultId: (vaultName) =>
      `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers/Microsoft.RecoveryServices/vaults/${vaultName}`,
    async close() {
      await platform.close();
      await rm(dataFolder, { recursive: true, force: true });
    },
  };
}
