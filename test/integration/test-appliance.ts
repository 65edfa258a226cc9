/** An appliance's side of the wire, as far as a test of the control plane needs one: keys, check-ins, commands. */
import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { ServiceBusClient } from '@azure/service-bus';
import { ContainerClient } from '@azure/storage-blob';
import { CompactSign } from 'jose';
import { type CheckIn, type CheckInBody } from '../../shared/wire/check-in.ts';
import { Command, type CommandResult } from '../../shared/wire/command.ts';
import { type DiscoveredMachine } from '../../shared/wire/discovery.ts';
import {
  ApplianceTokens,
  PublicKeyJwk,
  RegistrationKeyClaims,
  RegistrationKeyFile,
  RegistrationResult,
} from '../../shared/wire/registration.ts';
import { type TestPlatform } from './platform.ts';

export const testMachine = {
  hostName: 'ContosoCS',
  biosId: '4c4c4544-0043-3510-8052-b4c04f564a31',
  ipAddress: '10.0.0.4',
  osName: 'Debian 12',
  version: '0.1.0',
};

export type KeyPair = ReturnType<typeof makeKeyPair>;

export function makeKeyPair() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { privateKey, jwk: PublicKeyJwk.parse(publicKey.export({ format: 'jwk' })) };
}

/** A compact JWS of some claims. */
export function sign(claims: object, key: KeyPair): Promise<string> {
  return new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'ES256' })
    .sign(key.privateKey);
}

/** Downloads a registration key. */
export async function downloadKey(platform: TestPlatform, vaultName: string): Promise<string> {
  const path = `${platform.vaultId(vaultName)}/secondsite/registrationKeys`;
  return RegistrationKeyFile.parse((await platform.request('POST', path)).body).key;
}

/** The claims of a key, unchecked. */
export function claimsOf(key: string) {
  return RegistrationKeyClaims.parse(
    JSON.parse(Buffer.from(key.split('.')[1] ?? '', 'base64url').toString()),
  );
}

/** The body of a registration. `iatMs`: the appliance's clock. */
export async function registrationBody(
  registrationKey: string,
  keys: { signing: KeyPair; encryption: KeyPair },
  iatMs = Date.now(),
): Promise<object> {
  const { jti, vaultId } = claimsOf(registrationKey);
  return {
    registrationKey,
    signingKey: keys.signing.jwk,
    encryptionKey: keys.encryption.jwk,
    proof: await sign({ jti, aud: vaultId, iat: Math.floor(iatMs / 1_000) }, keys.signing),
    machine: testMachine,
  };
}

type CheckInOptions = { epoch?: number; sequence?: number; key?: KeyPair };

/** A registered appliance that answers commands with what the test says. */
export class TestAppliance {
  readonly platform: TestPlatform;
  readonly vaultName: string;
  readonly registration: RegistrationResult;
  readonly signing: KeyPair;
  readonly encryption: KeyPair;
  readonly commands: Command[] = [];
  /** How commands end; undefined: not answered. */
  answer: (command: Command) => Promise<Omit<CommandResult, 'commandId'> | undefined> = async () => ({
    outcome: 'succeeded',
  });
  #sequence = 0;
  #granted: ApplianceTokens | undefined;
  readonly #clients: ServiceBusClient[] = [];

  private constructor(
    platform: TestPlatform,
    vaultName: string,
    own: { registration: RegistrationResult; signing: KeyPair; encryption: KeyPair },
  ) {
    this.platform = platform;
    this.vaultName = vaultName;
    this.registration = own.registration;
    this.signing = own.signing;
    this.encryption = own.encryption;
  }

  static async register(platform: TestPlatform, vaultName: string): Promise<TestAppliance> {
    const keys = { signing: makeKeyPair(), encryption: makeKeyPair() };
    const body = await registrationBody(await downloadKey(platform, vaultName), keys);
    const path = `${platform.vaultId(vaultName)}/secondsite/registrations`;
    const answer = await platform.request('POST', path, { body, role: null });
    const registration = RegistrationResult.parse(answer.body);
    const appliance = new TestAppliance(platform, vaultName, { registration, ...keys });
    await appliance.#listen();
    return appliance;
  }

  /** Claims of an assertion that is good. */
  assertionClaims(nowMs = Date.now()): { iss: string; aud: string; iat: number; exp: number; jti: string } {
    const iat = Math.floor(nowMs / 1_000);
    const { applianceId, vaultId } = this.registration;
    return { iss: applianceId, aud: vaultId, iat, exp: iat + 300, jti: randomUUID() };
  }

  async askTokens(assertion: string) {
    const { vaultId, applianceId } = this.registration;
    const path = `${vaultId}/secondsite/appliances/${applianceId}/tokens`;
    return this.platform.request('POST', path, { body: { assertion }, role: null });
  }

  async tokens(): Promise<ApplianceTokens> {
    return ApplianceTokens.parse(
      (await this.askTokens(await sign(this.assertionClaims(), this.signing))).body,
    );
  }

  /** Sends a check-in; without an order of its own, the next one. */
  async checkIn(body: CheckInBody, options: CheckInOptions = {}): Promise<void> {
    await this.#send({ body }, options);
  }

  /** Sends a check-in by claim check. `sha256` is what is signed in place of the true hash. */
  async checkInByClaim(body: CheckInBody, options: CheckInOptions & { sha256?: string } = {}): Promise<void> {
    const { claimChecks } = await this.tokens();
    const packed = gzipSync(JSON.stringify(body));
    const blobName = `${this.registration.applianceId}/${randomUUID()}`;
    const container = new ContainerClient(`${claimChecks.containerUrl}?${claimChecks.sas}`);
    await container.getBlockBlobClient(blobName).upload(packed, packed.length, {
      conditions: { ifNoneMatch: '*' },
    });
    const sha256 = options.sha256 ?? createHash('sha256').update(packed).digest('hex');
    await this.#send({ claimCheck: { blobName, sha256 } }, options);
  }

  async #send(content: Pick<CheckIn, 'body' | 'claimCheck'>, options: CheckInOptions): Promise<void> {
    const { applianceId, vaultId } = this.registration;
    const checkIn = {
      version: 1,
      applianceId,
      vaultId,
      epoch: options.epoch ?? 1,
      sequence: options.sequence ?? (this.#sequence += 1),
      sentAtMs: Date.now(),
      ...content,
    };
    // Good for an hour, also while the API is away.
    const { checkIns } = (this.#granted ??= await this.tokens());
    const client = new ServiceBusClient(checkIns.connectionString);
    const jws = await sign(checkIn, options.key ?? this.signing);
    await client.createSender(checkIns.queue).sendMessages({ body: { vaultId, applianceId, jws } });
    await client.close();
  }

  async close(): Promise<void> {
    for (const client of this.#clients) await client.close();
  }

  async #listen(): Promise<void> {
    const { commands } = await this.tokens();
    const client = new ServiceBusClient(commands.connectionString);
    this.#clients.push(client);
    client.createReceiver(commands.queue).subscribe({
      processMessage: async ({ body }) => {
        const command = Command.parse(body);
        this.commands.push(command);
        const result = await this.answer(command);
        if (result === undefined) return;
        await this.checkIn({ kind: 'commandResult', result: { ...result, commandId: command.commandId } });
      },
      processError: async () => {},
    });
  }
}

export function heartbeat(): CheckInBody {
  return {
    kind: 'heartbeat',
    machine: testMachine,
    processServer: {
      cpuPercent: 97,
      memoryTotalBytes: 16_000_000_000,
      memoryAvailableBytes: 8_000_000_000,
      cacheTotalBytes: 600_000_000_000,
      cacheFreeBytes: 300_000_000_000,
      systemLoad: 1.5,
      pendingUploadBytes: 5,
      uploadBytesPerSecond: 1_000,
      replicatingMachines: 0,
    },
    accounts: [{ accountId: '1', accountName: 'vcenteruser' }],
    agents: [],
    vCenters: [],
    certificateExpiresAtMs: Date.now() + 100 * 86_400_000,
    startedAtMs: Date.now(),
  };
}

/** A machine as discovery tells it; numbered, so that they differ. */
export function discoveredMachine(
  number: number,
  change: Partial<DiscoveredMachine> = {},
): DiscoveredMachine {
  const digits = String(number).padStart(12, '0');
  return {
    moref: `vm-${number}`,
    biosUuid: `420f0000-0000-4000-8000-${digits}`,
    instanceUuid: `500f0000-0000-4000-8000-${digits}`,
    name: `web-${number}`,
    powerState: 'poweredOn',
    connectionState: 'connected',
    osType: 'LINUX',
    guestId: 'debian12_64Guest',
    guestFullName: 'Debian GNU/Linux 12 (64-bit)',
    firmware: 'bios',
    cpus: 2,
    memoryMB: 4_096,
    toolsState: 'running',
    hostName: `web-${number}`,
    ipAddresses: [`10.0.1.${number % 256}`],
    datastores: ['datastore1'],
    disks: [
      {
        diskId: `6000c29${digits}`,
        key: 2000,
        label: 'Hard disk 1',
        capacityBytes: 268_435_456,
        backingFile: `[datastore1] web-${number}/web-${number}.vmdk`,
        backingUuid: `6000c29${digits}`,
        backing: 'vmdk',
        shared: false,
        controller: {
          key: 1000,
          label: 'SCSI controller 0',
          type: 'ParaVirtualSCSIController',
          unitNumber: 0,
        },
      },
    ],
    nics: [],
    ...change,
  };
}

export function discovery(vCenterName: string, machines: DiscoveredMachine[]): CheckInBody {
  return {
    kind: 'discovery',
    vCenterName,
    report: {
      vCenterName,
      fingerprint: Array.from({ length: 32 }, () => 'AB').join(':'),
      apiType: 'VirtualCenter',
      product: 'VMware vCenter Server 8.0.2 build-22617221',
      version: '8.0.2',
      machines,
      leftOut: [],
      discoveredAtMs: Date.now(),
    },
  };
}
