// What `secondsite local …` runs: the commands that need the local platform's files.
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { describeError } from './describe-error.ts';
import { ensureTokenKey, mintToken, type Role, ROLES } from './identity/token.ts';
import { writeSecretFile } from '../shared/secret-file.ts';
import { type LocalConfig, readConfig } from './platform/config.ts';

const USAGE = 'usage: local token|env --role contributor|operator|reader [--json] | local status [--json]';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    role: { type: 'string' },
    json: { type: 'boolean', default: false },
    'data-folder': { type: 'string', default: resolve(import.meta.dirname, '..', '.secondsite') },
  },
});

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function getConfig(): LocalConfig {
  const dataFolder = resolve(values['data-folder']);
  const config = readConfig(dataFolder);
  if (config === undefined) {
    throw new Error(
      `The local platform never ran on ${dataFolder}. Start it: npm start (or give --data-folder)`,
    );
  }
  return config;
}

function getRole(): Role {
  const { role } = values;
  if (role !== undefined && Object.hasOwn(ROLES, role)) return role as Role;
  throw new Error(`--role is ${role ?? 'missing'}; it must be one of ${Object.keys(ROLES).join(', ')}`);
}

async function makeToken(role: Role): Promise<{ token: string; expiresOn: string }> {
  const { dataFolder, tokenIssuer: issuer, tenantId } = getConfig();
  const key = ensureTokenKey(dataFolder);
  const { token, expiresAtMs } = await mintToken({ key, issuer, tenantId, role });
  return { token, expiresOn: new Date(expiresAtMs).toISOString() };
}

async function token(): Promise<void> {
  const role = getRole();
  const { token, expiresOn } = await makeToken(role);
  print(values.json ? JSON.stringify({ accessToken: token, expiresOn, role: ROLES[role] }) : token);
}

/**
 * What a shell exports so that programs that know nothing of Secondsite reach it. The token goes into files of mode 600,
 * never onto a command line, where every user of the machine could read it.
 */
async function env(): Promise<void> {
  const role = getRole();
  const config = getConfig();
  const { token, expiresOn } = await makeToken(role);
  const tokenFile = join(config.dataFolder, `token-${role}`);
  const headersFile = join(config.dataFolder, `headers-${role}.json`);
  writeSecretFile(tokenFile, token);
  writeSecretFile(headersFile, JSON.stringify({ Authorization: `Bearer ${token}` }));
  const variables = {
    SECONDSITE_ENDPOINT: config.armEndpoint,
    SECONDSITE_SUBSCRIPTION: config.subscriptionId,
    SECONDSITE_RESOURCE_GROUP: config.resourceGroup,
    SECONDSITE_TOKEN_FILE: tokenFile,
    SECONDSITE_HEADERS: `@${headersFile}`,
    NODE_EXTRA_CA_CERTS: config.caCertificatePath,
    REQUESTS_CA_BUNDLE: config.caCertificatePath,
  };
  if (values.json) {
    print(JSON.stringify({ ...variables, expiresOn }));
    return;
  }
  for (const [name, value] of Object.entries(variables)) print(`export ${name}=${quoted(value)}`);
  print(`# The token is good until ${expiresOn}; then do this again.`);
}

/** As a shell takes it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

async function status(): Promise<void> {
  const config = getConfig();
  const running = isRunning(config.pids['platform']);
  const answers = running && (await answersAt(config));
  if (values.json) {
    const { armEndpoint, caCertificatePath, dataFolder, ports, pids } = config;
    print(JSON.stringify({ running, answers, armEndpoint, caCertificatePath, dataFolder, ports, pids }));
  } else if (!running) {
    print(`The local platform does not run on ${config.dataFolder}. Start it: npm start`);
  } else {
    print(`The local platform runs (process ${config.pids['platform']}), data in ${config.dataFolder}.`);
    print(
      `${config.armEndpoint} ${answers ? 'answers' : 'does not answer; see'} ${answers ? '' : logs(config)}`.trim(),
    );
  }
  if (!answers) process.exitCode = 3;
}

function logs(config: LocalConfig): string {
  return join(config.dataFolder, 'logs');
}

function isRunning(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Whether the ARM API gives any answer. */
async function answersAt(config: LocalConfig): Promise<boolean> {
  const { get } = await import('node:https');
  const { readFile } = await import('node:fs/promises');
  const ca = await readFile(config.caCertificatePath, 'utf8');
  return await new Promise((resolve) => {
    const request = get(config.armEndpoint, { ca, timeout: 5000 }, (response) => {
      response.resume();
      resolve(true);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}

try {
  const [command, ...rest] = positionals;
  if (command === 'token' && rest.length === 0) await token();
  else if (command === 'env' && rest.length === 0) await env();
  else if (command === 'status' && rest.length === 0) await status();
  else throw new Error(USAGE);
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = 2;
}
