import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { type CatalogueServer, startCatalogue } from '../catalogue/catalogue.ts';
import { RESOURCE_GROUP } from '../catalogue/catalogue-file.ts';
import {
  type Authority,
  createAuthority,
  issueServerCertificate,
  type ServerCertificate,
} from '../identity/authority.ts';
import { type Issuer, startIssuer } from '../identity/issuer.ts';
import { ensureTenant, type Tenant } from '../identity/tenant.ts';
import { ensureTokenKey, TOKEN_AUDIENCE, tokenCheck } from '../identity/token.ts';
import { ensureVaultKeyFile } from '../identity/vault-key.ts';
import { connectionStringOf, ensureAccount } from '../storage/account.ts';
import { type ChildSpec, SupervisedChild } from './child-process.ts';
import { type LocalConfig, type Ports, readConfig, writeConfig } from './config.ts';
import { lockDataFolder } from './lock.ts';
import { LogFiles } from './log-file.ts';
import { waitForOrphans } from './orphans.ts';
import { choosePorts } from './ports.ts';
import { ensureRules } from './rules.ts';
import { appSettings } from './settings.ts';

/** A running local platform. */
export type Platform = {
  config: LocalConfig;
  /** Stops everything in order: the functions host first. */
  close(): Promise<void>;
  /** Ends all child processes at once. What was acknowledged is kept all the same. */
  kill(): void;
};

export type PlatformOptions = {
  /** Where all state is; made when missing. One platform at a time runs on it. */
  dataFolder: string;
  /** The function app: the folder of its host.json and package.json. */
  appFolder: string;
  /** Takes Azurite's, the Service Bus emulator's and Core Tools' usual ports where they are free. */
  usualPorts?: boolean;
  /** Settings of the function app beside the platform's own; they win. */
  appSettings?: Record<string, string>;
  /** Gets each line that a part of the platform logs; they are in `logs/` of the data folder too. */
  onLine?: (name: string, line: string) => void;
  /** Gets each sentence about what happens to the parts. */
  onNotice?: (sentence: string) => void;
};

/**
 * Starts the local platform: storage, service bus and functions host as child processes, token issuer and catalogue
 * in this one. It is ready when the returned promise resolves.
 * @throws when a part cannot start; the others are stopped then
 */
export async function startPlatform(options: PlatformOptions): Promise<Platform> {
  const dataFolder = resolve(options.dataFolder);
  checkApp(options.appFolder);
  const unlock = lockDataFolder(dataFolder);
  const platform = new RunningPlatform(dataFolder, options, unlock);
  try {
    await platform.start();
  } catch (error) {
    await platform.close();
    throw error;
  }
  return platform;
}

/** @throws when the function app is not there or not built */
function checkApp(appFolder: string): void {
  const packagePath = join(appFolder, 'package.json');
  const { main } = JSON.parse(readFileSync(packagePath, 'utf8')) as { main?: string };
  if (main === undefined) throw new Error(`${packagePath} names no main file`);
  if (!existsSync(join(appFolder, main))) {
    throw new Error(`The function app is not built: ${join(appFolder, main)} is missing. Run: npm run build`);
  }
}

/** The last run's configuration. It can be of another version, and nothing is lost without it. */
function readLastConfig(dataFolder: string): LocalConfig | undefined {
  try {
    return readConfig(dataFolder);
  } catch {
    return undefined;
  }
}

/** Entry file of a child process. */
function entry(path: string): string {
  return new URL(path, import.meta.url).pathname;
}

class RunningPlatform implements Platform {
  readonly #dataFolder: string;
  readonly #options: PlatformOptions;
  readonly #unlock: () => void;
  readonly #logs: LogFiles;
  /** In the order of their start. */
  readonly #children: SupervisedChild[] = [];
  readonly #pids: Record<string, number> = { platform: process.pid };
  #config: LocalConfig | undefined;
  #issuer: Issuer | undefined;
  #catalogue: CatalogueServer | undefined;
  #closing: Promise<void> | undefined;

  constructor(dataFolder: string, options: PlatformOptions, unlock: () => void) {
    this.#dataFolder = dataFolder;
    this.#options = options;
    this.#unlock = unlock;
    this.#logs = new LogFiles(dataFolder);
  }

  get config(): LocalConfig {
    if (this.#config === undefined) throw new Error('The platform has not started');
    return this.#config;
  }

  async start(): Promise<void> {
    const last = readLastConfig(this.#dataFolder);
    if (last !== undefined) await waitForOrphans(last.pids);
    const ports = await choosePorts(last?.ports, this.#options.usualPorts ?? false);
    const authority = await createAuthority(join(this.#dataFolder, 'ca'));
    const tls = await issueServerCertificate(authority);
    const tenant = ensureTenant(this.#dataFolder);
    const issuer = await this.#startIdentity(tenant, tls, ports);
    const config = (this.#config = this.#describe(tenant, authority, issuer, ports));
    writeConfig(config);
    await Promise.all([this.#startStorage(ports), this.#startServiceBus(ports, tls)]);
    const settings = {
      ...appSettings(config, ensureRules(this.#dataFolder), issuer.managedIdentity),
      ...this.#options.appSettings,
    };
    await this.#startChild({
      name: 'functions-host',
      main: entry('../functions-host/main.ts'),
      env: {
        NODE_EXTRA_CA_CERTS: authority.certificatePath,
        FUNCTIONS_HOST_OPTIONS: JSON.stringify({
          appFolder: resolve(this.#options.appFolder),
          dataFolder: join(this.#dataFolder, 'functions-host'),
          settings,
          port: ports.functions,
          tls,
        }),
      },
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#stop();
    return this.#closing;
  }

  kill(): void {
    for (const child of this.#children) child.kill();
  }

  async #stop(): Promise<void> {
    for (const child of this.#children.toReversed()) await child.stop();
    await this.#catalogue?.close();
    await this.#issuer?.close();
    this.#unlock();
  }

  async #startIdentity(tenant: Tenant, tls: ServerCertificate, ports: Ports): Promise<Issuer> {
    const key = ensureTokenKey(this.#dataFolder);
    const issuer = await startIssuer({ key, tenantId: tenant.tenantId, tls, port: ports.tokenIssuer });
    this.#issuer = issuer;
    this.#catalogue = await startCatalogue({
      dataFolder: this.#dataFolder,
      ...tenant,
      tls,
      checkToken: tokenCheck(key, issuer.issuer),
      port: ports.catalogue,
    });
    return issuer;
  }

  async #startStorage(ports: Ports): Promise<void> {
    const wished = { '--blob-port': ports.blob, '--queue-port': ports.queue, '--table-port': ports.table };
    await this.#startChild({
      name: 'storage',
      main: entry('../storage/main.ts'),
      args: [
        `--data-folder=${this.#storageFolder()}`,
        ...Object.entries(wished).map(([name, port]) => `${name}=${port}`),
      ],
    });
  }

  async #startServiceBus(ports: Ports, tls: ServerCertificate): Promise<void> {
    await this.#startChild({
      name: 'service-bus',
      main: entry('../service-bus/main.ts'),
      env: {
        SERVICE_BUS_OPTIONS: JSON.stringify({
          dataFolder: join(this.#dataFolder, 'service-bus'),
          port: ports.serviceBus,
          adminPort: ports.serviceBusAdmin,
          rules: Object.values(ensureRules(this.#dataFolder)),
          queues: [{ name: 'agent-checkins', settings: { MaxDeliveryCount: '10' } }],
          tls,
        }),
      },
    });
  }

  async #startChild(spec: ChildSpec): Promise<void> {
    const child = new SupervisedChild(spec, {
      onLine: (name, line) => {
        this.#logs.append(name, line);
        this.#options.onLine?.(name, line);
      },
      onNotice: (sentence) => {
        this.#logs.append('platform', sentence);
        this.#options.onNotice?.(sentence);
      },
      onPid: (name, pid) => {
        if (pid !== undefined) this.#pids[name] = pid;
        if (this.#config !== undefined) writeConfig(this.#config);
      },
    });
    this.#children.push(child);
    await child.start();
  }

  #storageFolder(): string {
    return join(this.#dataFolder, 'storage');
  }

  #describe(tenant: Tenant, authority: Authority, issuer: Issuer, ports: Ports): LocalConfig {
    const { name, key } = ensureRules(this.#dataFolder).root;
    return {
      armEndpoint: `https://localhost:${ports.functions}`,
      caCertificatePath: authority.certificatePath,
      subscriptionId: tenant.subscriptionId,
      resourceGroup: RESOURCE_GROUP,
      tenantId: tenant.tenantId,
      storageConnectionString: connectionStringOf(ensureAccount(this.#storageFolder()), ports),
      serviceBusConnectionString:
        `Endpoint=sb://localhost:${ports.serviceBus};SharedAccessKeyName=${name};SharedAccessKey=${key};` +
        'UseDevelopmentEmulator=true;',
      serviceBusAdminEndpoint: `localhost:${ports.serviceBusAdmin}`,
      tokenIssuer: issuer.issuer,
      tokenAudience: TOKEN_AUDIENCE,
      tokenJwksUri: issuer.jwksUri,
      vaultKeyPath: ensureVaultKeyFile(this.#dataFolder),
      targetResourceManager: this.#catalogue?.endpoint ?? '',
      dataFolder: this.#dataFolder,
      ports,
      pids: this.#pids,
    };
  }
}
