/** A site with an appliance of its own process, a broker, blob storage, and a vault made of the wire's schemas. */
import { ServiceBusClient, type ServiceBusReceiver } from '@azure/service-bus';
import {
  BlobServiceClient,
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';
import { compactVerify, importJWK } from 'jose';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { setUp } from '../../../appliance/setup/set-up.ts';
import { startServiceBus, type RunningServiceBus } from '../../../local/service-bus/broker.ts';
import { startStorage, type Storage } from '../../../local/storage/storage.ts';
import { queueConnectionString } from '../../../shared/fabric/service-bus-grant.ts';
import { CheckIn, CheckInBody, CheckInMessage } from '../../../shared/wire/check-in.ts';
import type { CommandBody, CommandResult } from '../../../shared/wire/command.ts';
import type { ApplianceTokens, ContainerGrant } from '../../../shared/wire/registration.ts';
import { ApplianceProcess } from './appliance-process.ts';
import { VaultServer } from './vault-server.ts';

const rules = [
  { name: 'root', key: 'root-key-of-the-tests', rights: ['Manage', 'Send', 'Listen'] as const },
  { name: 'send', key: 'send-key-of-the-tests', rights: ['Send'] as const },
  { name: 'listen', key: 'listen-key-of-the-tests', rights: ['Listen'] as const },
].map((rule) => ({ ...rule, rights: [...rule.rights] }));

/** A check-in as the control plane would read it: signature checked, claim check taken in. */
export type ReadCheckIn = Omit<CheckIn, 'body'> & { body: CheckInBody };

/** What kinds of check-ins there are. */
type Kind = CheckInBody['kind'];

/** Everything that a test of the appliance needs around it. */
export class Site {
  readonly folder: string;
  readonly vault: VaultServer;
  readonly #storage: Storage;
  #broker: RunningServiceBus;
  #client: ServiceBusClient | undefined;
  #receiver: ServiceBusReceiver | undefined;
  #process: ApplianceProcess | undefined;
  /** All check-ins so far, in the order they were read. */
  readonly checkIns: ReadCheckIn[] = [];

  private constructor(parts: {
    folder: string;
    vault: VaultServer;
    storage: Storage;
    broker: RunningServiceBus;
  }) {
    this.folder = parts.folder;
    this.vault = parts.vault;
    this.#storage = parts.storage;
    this.#broker = parts.broker;
  }

  /** Starts everything and registers an appliance; it does not run yet. */
  static async start(): Promise<Site> {
    const folder = await mkdtemp(join(tmpdir(), 'site-'));
    const vault = await VaultServer.start();
    const storage = await startStorage({ dataFolder: join(folder, 'storage'), inMemory: true });
    const broker = await startBroker(folder, 0);
    const site = new Site({ folder, vault, storage, broker });
    const keyPath = join(folder, 'key.json');
    await writeFile(keyPath, JSON.stringify(await vault.createKey()));
    await setUp({
      keyPath,
      dataFolder: site.dataFolder,
      host: '127.0.0.1',
      port: 0,
      waitSeconds: 0,
      onRetry: () => undefined,
    });
    await site.#prepareCloud();
    return site;
  }

  get dataFolder(): string {
    return join(this.folder, 'appliance');
  }

  get logPath(): string {
    return join(this.folder, 'appliance.log');
  }

  get applianceId(): string {
    return this.vault.appliance.result.applianceId;
  }

  /** Runs the appliance as a process of its own; resolves when it says it is ready. */
  async run(environment: Record<string, string> = {}): Promise<void> {
    this.#process = await ApplianceProcess.start(this.dataFolder, this.logPath, environment);
  }

  /** Ends the appliance's process; resolves with its exit code, or null when it was killed. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    return (await this.#process?.end(signal)) ?? null;
  }

  async send(commandId: string, body: CommandBody): Promise<void> {
    await this.sendRaw({ version: 1, commandId, issuedAtMs: Date.now(), body });
  }

  async sendRaw(body: unknown): Promise<void> {
    const sender = this.#connected().createSender(this.commandQueue);
    await sender.sendMessages({ body });
    await sender.close();
  }

  get commandQueue(): string {
    return `commands-${this.applianceId}`;
  }

  /** Reads check-ins until one of this kind fits; returns it. */
  async next<K extends Kind>(
    kind: K,
    fits: (body: Extract<CheckInBody, { kind: K }>) => boolean = () => true,
  ): Promise<ReadCheckIn & { body: Extract<CheckInBody, { kind: K }> }> {
    for (;;) {
      const checkIn = await this.#read();
      if (checkIn.body.kind !== kind) continue;
      const body = checkIn.body as Extract<CheckInBody, { kind: K }>; // the line above narrowed the union
      if (fits(body)) return { ...checkIn, body };
    }
  }

  async resultOf(commandId: string): Promise<CommandResult> {
    const { body } = await this.next('commandResult', ({ result }) => result.commandId === commandId);
    return body.result;
  }

  /** Messages of the command queue that nobody settled yet, or that were dead-lettered. */
  async waitingCommands(
    subQueueType?: 'deadLetter',
  ): Promise<{ body: unknown; reason: string | undefined }[]> {
    const options = subQueueType === undefined ? {} : { subQueueType };
    const receiver = this.#connected().createReceiver(this.commandQueue, options);
    const messages = await receiver.peekMessages(100);
    await receiver.close();
    return messages.map(({ body, deadLetterReason }) => ({
      body: body as unknown,
      reason: deadLetterReason,
    }));
  }

  async stopBroker(): Promise<void> {
    await this.#client?.close();
    await this.#broker.close();
  }

  /** On the same port and store as before. */
  async startBroker(): Promise<void> {
    this.#broker = await startBroker(this.folder, this.#broker.port);
    this.#client = undefined;
  }

  async close(): Promise<void> {
    await this.end('SIGKILL');
    await this.#client?.close();
    await this.#broker.close();
    await this.#storage.close();
    await this.vault.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #prepareCloud(): Promise<void> {
    const { applianceId } = this;
    await this.#broker.close();
    this.#broker = await startBroker(this.folder, this.#broker.port, this.commandQueue);
    const blobs = BlobServiceClient.fromConnectionString(this.#storage.connectionString);
    await blobs.createContainer('claim-checks');
    this.vault.settings = { grants: () => this.#grants(applianceId) };
  }

  #grants(applianceId: string): Pick<ApplianceTokens, 'checkIns' | 'commands' | 'claimChecks' | 'replicas'> {
    const namespace = this.#broker.connectionString('root');
    const expiresAtMs = Date.now() + 3_600_000;
    const grant = (rule: { name: string; key: string } | undefined, queue: string) => ({
      queue,
      connectionString: queueConnectionString(namespace, rule ?? { name: '', key: '' }, {
        queue,
        expiresAtMs,
      }),
    });
    return {
      checkIns: grant(rules[1], 'agent-checkins'),
      commands: grant(rules[2], `commands-${applianceId}`),
      claimChecks: this.#containerGrant('claim-checks'),
      replicas: [],
    };
  }

  #containerGrant(containerName: string): ContainerGrant {
    const blobs = BlobServiceClient.fromConnectionString(this.#storage.connectionString);
    const sas = generateBlobSASQueryParameters(
      {
        containerName,
        permissions: ContainerSASPermissions.parse('c'),
        expiresOn: new Date(Date.now() + 3_600_000),
      },
      blobs.credential as StorageSharedKeyCredential, // a connection string with a key makes this one
    );
    return { containerUrl: blobs.getContainerClient(containerName).url, sas: sas.toString() };
  }

  #connected(): ServiceBusClient {
    if (this.#client === undefined) {
      this.#client = new ServiceBusClient(this.#broker.connectionString('root'));
      this.#receiver = this.#client.createReceiver('agent-checkins', { receiveMode: 'receiveAndDelete' });
    }
    return this.#client;
  }

  async #read(): Promise<ReadCheckIn> {
    this.#connected();
    const [message] = (await this.#receiver?.receiveMessages(1, { maxWaitTimeInMs: 40_000 })) ?? [];
    if (message === undefined) throw new Error('No check-in came in 40 seconds');
    const { jws, applianceId } = CheckInMessage.parse(message.body);
    const key = await importJWK(this.vault.appliance.request.signingKey, 'ES256');
    const { payload } = await compactVerify(jws, key);
    const { body, ...checkIn } = CheckIn.parse(JSON.parse(Buffer.from(payload).toString('utf8')));
    if (applianceId !== checkIn.applianceId) throw new Error('The envelope names another appliance');
    const read = { ...checkIn, body: body ?? (await this.#claim(checkIn.claimCheck?.blobName ?? '')) };
    this.checkIns.push(read);
    return read;
  }

  async #claim(blobName: string): Promise<CheckInBody> {
    const blobs = BlobServiceClient.fromConnectionString(this.#storage.connectionString);
    const content = await blobs.getContainerClient('claim-checks').getBlobClient(blobName).downloadToBuffer();
    return CheckInBody.parse(JSON.parse(gunzipSync(content).toString('utf8')));
  }
}

async function startBroker(folder: string, port: number, commandQueue?: string): Promise<RunningServiceBus> {
  const dataFolder = join(folder, 'service-bus');
  await mkdir(dataFolder, { recursive: true });
  const queues = ['agent-checkins', ...(commandQueue === undefined ? [] : [commandQueue])].map((name) => ({
    name,
  }));
  return startServiceBus({ dataFolder, port, rules, queues });
}
