import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { DomainError, isRetryable, type Fault } from '../../shared/fault.ts';
import type { ApplianceStatus } from '../../shared/wire/appliance-control.ts';
import { ApplianceTokens, type ContainerGrant } from '../../shared/wire/registration.ts';
import { log } from '../log.ts';
import { BackOff, delay } from './back-off.ts';
import type { Identity, Registration } from './identity.ts';
import { clockDifference, refuseSkew, vaultUrl } from './registration.ts';
import { WakeUp } from './wake-up.ts';
import type { WebClient } from './web-client.ts';

/** How the appliance stands with its vault. */
export type CloudState = NonNullable<ApplianceStatus['cloud']>;

const assertionSeconds = 120;
/** An unknown item's grant is asked for at most this often: it is in the tokens of the next renewal. */
const earlyRenewalMs = 2_000;

/**
 * Keeps the appliance's short-lived tokens: gets them by a signed assertion, renews them after two thirds of their life,
 * and tries again with back-off while the vault is away. Lives are measured by the monotonic clock, because this
 * machine's time may be wrong or be set.
 */
export class TokenKeeper {
  readonly #registration: Registration;
  readonly #identity: Identity;
  readonly #web: WebClient;
  readonly #wakeUp = new WakeUp();
  readonly #listeners = new Set<(tokens: ApplianceTokens) => void>();
  readonly #closing = new AbortController();
  #tokens: ApplianceTokens | undefined;
  #usableUntil = 0;
  #renewedAt = -Infinity;
  #renewal: Promise<void> | undefined;
  #loop: Promise<void> = Promise.resolve();
  #state: CloudState = { state: 'connecting', sinceMs: Date.now() };

  constructor(registration: Registration, identity: Identity, web: WebClient) {
    this.#registration = registration;
    this.#identity = identity;
    this.#web = web;
  }

  get state(): CloudState {
    return this.#state;
  }

  /** The tokens, or undefined while there are none that are still good. */
  find(): ApplianceTokens | undefined {
    return performance.now() < this.#usableUntil ? this.#tokens : undefined;
  }

  /** Calls the listener with the tokens as they are, if any, and at each renewal. */
  listen(listener: (tokens: ApplianceTokens) => void): void {
    this.#listeners.add(listener);
    const tokens = this.find();
    if (tokens !== undefined) listener(tokens);
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Asks for tokens once. @throws DomainError as the vault answers, Unavailable when it does not */
  async ask(): Promise<void> {
    await this.#renew();
  }

  /** Asks for new tokens now, because the present ones were refused. */
  renewSoon(): void {
    if (performance.now() - this.#renewedAt > earlyRenewalMs) this.#wakeUp.wake();
  }

  /**
   * The grant for an item's replica log.
   *
   * @throws DomainError Unavailable while the vault can't be reached, ResourceNotFound when it grants no such item.
   */
  async grant(protectedItemId: string): Promise<ContainerGrant> {
    const granted = this.#findGrant(protectedItemId);
    if (granted !== undefined) return granted;
    const renewedAgoMs = performance.now() - this.#renewedAt;
    if (this.find() !== undefined)
      await delay(Math.max(0, earlyRenewalMs - renewedAgoMs), this.#closing.signal);
    await this.#renew();
    const renewed = this.#findGrant(protectedItemId);
    if (renewed !== undefined) return renewed;
    throw new DomainError({
      code: 'ResourceNotFound',
      message: `The vault grants this appliance no replica log for the protected item ${protectedItemId}.`,
      target: protectedItemId,
      recommendedAction:
        'If replication was disabled there, nothing needs to be done; otherwise enable it again.',
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const backOff = new BackOff();
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await this.#renew();
        backOff.reset();
        await this.#wakeUp.wait(Math.max(1_000, ((this.#usableUntil - performance.now()) * 2) / 3), signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#away(error);
        await this.#wakeUp.wait(backOff.nextMs(), signal);
      }
    }
  }

  #findGrant(protectedItemId: string): ContainerGrant | undefined {
    return this.find()?.replicas.find((replica) => replica.protectedItemId === protectedItemId)?.grant;
  }

  /** One renewal at a time: who comes meanwhile waits for the same. */
  async #renew(): Promise<void> {
    this.#renewal ??= this.#askForTokens().finally(() => {
      this.#renewal = undefined;
    });
    await this.#renewal;
  }

  async #askForTokens(): Promise<void> {
    const { applianceId, vaultId, endpoint } = this.#registration;
    const sentAtMs = Date.now();
    const startedAt = performance.now();
    const issuedAt = Math.floor(sentAtMs / 1000);
    const assertion = await new SignJWT({ jti: randomUUID() })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer(applianceId)
      .setAudience(vaultId)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + assertionSeconds)
      .sign(this.#identity.signingKey);
    const url = `${vaultUrl(endpoint, vaultId)}/secondsite/appliances/${applianceId}/tokens`;
    const tokens = await this.#web.postJson(url, { assertion }, ApplianceTokens, this.#closing.signal);
    const clockDifferenceMs = clockDifference(tokens.serverTimeMs, sentAtMs, Date.now());
    refuseSkew(clockDifferenceMs);
    this.#tokens = tokens;
    this.#usableUntil = startedAt + tokens.expiresAtMs - tokens.serverTimeMs;
    this.#renewedAt = performance.now();
    if (this.#state.state !== 'connected') {
      this.#state = { state: 'connected', sinceMs: Date.now() };
      log.info('The vault is reached.', { applianceId });
    }
    this.#state = { ...this.#state, clockDifferenceMs };
    for (const listener of this.#listeners) listener(tokens);
  }

  #away(error: unknown): void {
    const fault = faultOf(error);
    if (this.#state.state === 'connected' || this.#state.fault?.message !== fault.message) {
      log.warn('The vault gives no tokens.', { code: fault.code, message: fault.message });
    }
    const state = this.#tokens === undefined ? 'connecting' : 'away';
    const sinceMs = this.#state.state === state ? this.#state.sinceMs : Date.now();
    this.#state = { state, sinceMs, fault };
    if (!isRetryable(fault) && fault.code !== 'InvalidRequest') this.#usableUntil = 0;
  }
}

/** The fault in an error; an error without one is a mistake in this program, and is logged. */
export function faultOf(error: unknown): Fault {
  if (error instanceof DomainError) return error.fault;
  log.error('An unexpected error.', { error: error instanceof Error ? error.stack : String(error) });
  return { code: 'RemoteFailure', message: 'The appliance met an internal error; its log tells more.' };
}
