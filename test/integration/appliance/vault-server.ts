/**
 * The vault's side of registration and tokens, made of the wire's own schemas, for tests of the appliance alone: what it
 * refuses and why is the same as the control plane's.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { decodeJwt, generateKeyPair, importJWK, jwtVerify, SignJWT, type CryptoKey } from 'jose';
import { createAuthority, issueCertificate } from '../../../shared/certificate.ts';
import { refuseClockSkew } from '../../../shared/fabric/signed-claims.ts';
import { DomainError, type Fault } from '../../../shared/fault.ts';
import {
  ApplianceTokenRequest,
  RegistrationKeyClaims,
  registrationKeyAudience,
  RegistrationRequest,
  type ApplianceTokens,
  type RegistrationKeyFile,
  type RegistrationResult,
} from '../../../shared/wire/registration.ts';

/** The vault of the tests. */
export const vaultId =
  '/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/ContosoRG/providers/Microsoft.RecoveryServices/vaults/ContosoVMVault';

type Grants = Pick<ApplianceTokens, 'checkIns' | 'commands' | 'claimChecks' | 'replicas'>;

/** What the service at the other end does, and how its clock is set. */
export interface VaultSettings {
  /** How far the service's clock is ahead. */
  clockAheadMs?: number;
  tokenLifeMs?: number;
  grants?: (applianceId: string) => Grants;
  /** Hears that a registration came in, and then that it was written down, before it is answered. */
  onRegistration?: (step: 'asked' | 'registered') => Promise<void>;
}

/** A vault that an appliance can register at. */
export class VaultServer {
  readonly #server: Server;
  readonly #keys: { privateKey: CryptoKey; publicKey: CryptoKey };
  readonly #caCertificatePem: string;
  /** Appliances by the id of their registration key. */
  readonly #appliances = new Map<string, { request: RegistrationRequest; result: RegistrationResult }>();
  settings: VaultSettings;
  tokensGiven = 0;

  private constructor(parts: {
    server: Server;
    keys: VaultServer['keys'];
    ca: string;
    settings: VaultSettings;
  }) {
    this.#server = parts.server;
    this.#keys = parts.keys;
    this.#caCertificatePem = parts.ca;
    this.settings = parts.settings;
  }

  static async start(settings: VaultSettings = {}): Promise<VaultServer> {
    const nowMs = Date.now();
    const authority = await createAuthority({ commonName: 'Test CA', days: 2, nowMs });
    const { certificatePem, privateKeyPem } = await issueCertificate(authority, {
      commonName: 'localhost',
      usage: 'server',
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1'],
      days: 1,
      nowMs,
    });
    const server = createServer({ cert: certificatePem, key: privateKeyPem });
    const keys = await generateKeyPair('ES256', { extractable: true });
    const vault = new VaultServer({ server, keys, ca: authority.certificatePem, settings });
    server.on('request', (request, response) => void vault.#answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return vault;
  }

  get keys(): { privateKey: CryptoKey; publicKey: CryptoKey } {
    return this.#keys;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The registered appliance; there is one in each test. */
  get appliance(): { request: RegistrationRequest; result: RegistrationResult } {
    const [only] = this.#appliances.values();
    if (only === undefined) throw new Error('No appliance is registered');
    return only;
  }

  /** How many appliances it has. */
  get applianceCount(): number {
    return this.#appliances.size;
  }

  async createKey(
    change: { expiresInSeconds?: number; signedBy?: CryptoKey; port?: number } = {},
  ): Promise<RegistrationKeyFile> {
    const exp = Math.floor(this.#nowMs() / 1000) + (change.expiresInSeconds ?? 5 * 24 * 3600);
    const claims = {
      vaultId,
      endpoint: `https://127.0.0.1:${change.port ?? this.port}`,
      caCertificatePem: this.#caCertificatePem,
    };
    const key = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256' })
      .setJti(randomUUID())
      .setAudience(registrationKeyAudience)
      .setIssuedAt()
      .setExpirationTime(exp)
      .sign(change.signedBy ?? this.#keys.privateKey);
    const expiresAt = new Date(exp * 1000).toISOString();
    return {
      kind: 'SecondsiteVaultRegistrationKey',
      version: 1,
      vaultName: 'ContosoVMVault',
      expiresAt,
      key,
    };
  }

  /** As if the server was deleted in the vault. */
  forget(): void {
    this.#appliances.clear();
  }

  /** Listens again where it listened before it was closed. */
  async reopen(port: number): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #nowMs(): number {
    return Date.now() + (this.settings.clockAheadMs ?? 0);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const send = (status: number, body: object): void =>
      void response
        .writeHead(status, {
          'content-type': 'application/json',
          date: new Date(this.#nowMs()).toUTCString(),
        })
        .end(JSON.stringify(body));
    if (request.method === 'GET') {
      send(404, { error: { code: 'ResourceNotFound', message: 'Nothing is here.' } });
      return;
    }
    try {
      const body: unknown = JSON.parse(await text(request));
      send(200, await this.#handle(request.url ?? '', body));
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      const { code, message, ...innererror } = error.fault;
      const envelope = { error: { code, message, innererror: { code, ...innererror } } };
      send(code === 'AuthenticationFailed' ? 401 : 409, envelope);
    }
  }

  async #handle(path: string, body: unknown): Promise<object> {
    if (path === `${vaultId}/secondsite/registrations`) {
      await this.settings.onRegistration?.('asked');
      const result = await this.#register(RegistrationRequest.parse(body));
      await this.settings.onRegistration?.('registered');
      return result;
    }
    const applianceId = /\/secondsite\/appliances\/([0-9a-f-]{36})\/tokens$/u.exec(path)?.[1] ?? '';
    return this.#giveTokens(applianceId, ApplianceTokenRequest.parse(body).assertion);
  }

  async #register(request: RegistrationRequest): Promise<RegistrationResult> {
    const key = await verified(
      jwtVerify(request.registrationKey, this.#keys.publicKey, {
        audience: registrationKeyAudience,
        currentDate: new Date(this.#nowMs()),
      }),
    );
    const claims = RegistrationKeyClaims.parse(key.payload);
    const proof = await verified(
      jwtVerify(request.proof, await importJWK(request.signingKey, 'ES256'), { audience: vaultId }),
    );
    this.#refuseSkew(proof.payload.iat);
    const known = this.#appliances.get(claims.jti);
    if (known !== undefined && known.request.signingKey.x !== request.signingKey.x) {
      throw refusal('RegistrationKeyUsed', 'The registration key has enrolled another appliance already.');
    }
    const applianceId = known?.result.applianceId ?? randomUUID();
    const result = {
      applianceId,
      vaultId,
      fabricName: 'f'.repeat(64),
      containerName: `cloud_${applianceId}`,
      serverTimeMs: this.#nowMs(),
    };
    this.#appliances.set(claims.jti, { request, result });
    return result;
  }

  async #giveTokens(applianceId: string, assertion: string): Promise<ApplianceTokens> {
    if (this.#appliances.size === 0) throw refusal('AuthenticationFailed', 'There is no such appliance.');
    const { request } = this.appliance;
    const { payload } = await verified(
      jwtVerify(assertion, await importJWK(request.signingKey, 'ES256'), {
        audience: vaultId,
        issuer: applianceId,
        // its times are judged below, where what is wrong with them can be said
        currentDate: new Date((decodeJwt(assertion).iat ?? 0) * 1000),
      }),
    );
    this.#refuseSkew(payload.iat);
    this.tokensGiven += 1;
    const grants = this.settings.grants?.(applianceId);
    if (grants === undefined) throw refusal('Conflict', 'This vault gives no tokens.');
    const expiresAtMs = this.#nowMs() + (this.settings.tokenLifeMs ?? 3_600_000);
    return { ...grants, expiresAtMs, serverTimeMs: this.#nowMs() };
  }

  #refuseSkew(iat: number | undefined): void {
    refuseClockSkew((iat ?? 0) * 1000, this.#nowMs());
  }
}

async function verified<T>(verification: Promise<T>): Promise<T> {
  try {
    return await verification;
  } catch (error) {
    throw refusal('AuthenticationFailed', `The signature is not valid: ${String(error)}`);
  }
}

function refusal(code: Fault['code'], message: string): DomainError {
  return new DomainError({ code, message });
}
