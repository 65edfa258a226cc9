import { ServiceBusClient, type ServiceBusClientOptions, type ServiceBusSender } from '@azure/service-bus';
import { CompactSign } from 'jose';
import { KiB } from '../../shared/bytes.ts';
import { DomainError } from '../../shared/fault.ts';
import type {
  CheckIn,
  CheckInBody,
  CheckInMessage,
  Heartbeat,
  ItemProgress,
} from '../../shared/wire/check-in.ts';
import type { ApplianceTokens } from '../../shared/wire/registration.ts';
import { log } from '../log.ts';
import { BackOff } from './back-off.ts';
import { putClaimCheck } from './claim-check.ts';
import type { Identity, Registration } from './identity.ts';
import { findOutboxEntry, removeOutboxEntry, type CheckInNumbers } from './outbox.ts';
import { closeClient } from './service-bus-client.ts';
import type { Store } from './store.ts';
import type { TokenKeeper } from './tokens.ts';
import { WakeUp } from './wake-up.ts';
import type { WebClient } from './web-client.ts';

const claimCheckBytes = 200 * KiB;
const progressIntervalMs = 2_000;
const sendTimeoutMs = 20_000;
const itemsInMessage = 100;
/** The sender tries again itself, with the newest tokens. */
const retryOptions = { maxRetries: 0, timeoutInMs: 60_000 };

/** What the sender is built from. */
export interface CheckInSenderParts {
  store: Store;
  numbers: CheckInNumbers;
  tokens: TokenKeeper;
  registration: Registration;
  identity: Identity;
  web: WebClient;
  /** How Service Bus is reached. */
  serviceBus: ServiceBusClientOptions;
}

/** A check-in about to be sent, and what is to be done when Service Bus has taken it. */
interface Outgoing {
  epoch: number;
  sequence: number;
  body: CheckInBody;
  taken: () => void;
}

interface Link {
  tokens: ApplianceTokens;
  client: ServiceBusClient;
  sender: ServiceBusSender;
}

/** Sends check-ins one after another: the outbox in its order, the newest heartbeat, progress every two seconds. */
export class CheckInSender {
  readonly #parts: CheckInSenderParts;
  readonly #wakeUp = new WakeUp();
  readonly #closing = new AbortController();
  readonly #progress = new Map<string, ItemProgress>();
  #progressSentAt = -Infinity;
  #heartbeat: Heartbeat | undefined;
  #afterOutbox = false;
  #link: Link | undefined;
  #loop: Promise<void> = Promise.resolve();
  /** Why check-ins are not taken and since when; undefined while they are. */
  trouble: { sinceMs: number; message: string } | undefined;
  lastHeartbeatMs: number | undefined;

  constructor(parts: CheckInSenderParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#parts.tokens.listen(() => this.#wakeUp.wake());
    this.#loop = this.#run();
  }

  /** Something was put into the outbox. */
  wake(): void {
    this.#wakeUp.wake();
  }

  setHeartbeat(heartbeat: Heartbeat): void {
    this.#heartbeat = heartbeat;
    this.#wakeUp.wake();
  }

  setProgress(item: ItemProgress): void {
    this.#progress.set(item.protectedItemId, item);
    this.#wakeUp.wake();
  }

  /** Sends no more; what is in the outbox goes out after the next start. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#loop;
    await this.#unlink();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const backOff = new BackOff(500, 30_000);
    while (!signal.aborted) {
      const tokens = this.#parts.tokens.find();
      const outgoing = tokens === undefined ? undefined : this.#next();
      if (tokens === undefined || outgoing === undefined) {
        await this.#wakeUp.wait(this.#progress.size > 0 ? progressIntervalMs : 60_000, signal);
        continue;
      }
      try {
        await this.#send(tokens, outgoing);
        outgoing.taken();
        backOff.reset();
        this.trouble = undefined;
      } catch (error) {
        if (signal.aborted) return;
        await this.#failed(error);
        await backOff.wait(signal);
      }
    }
  }

  /** An outbox entry and a heartbeat take turns, so that neither waits for a long row of the other. */
  #next(): Outgoing | undefined {
    const entry =
      this.#afterOutbox && this.#heartbeat !== undefined ? undefined : findOutboxEntry(this.#parts.store);
    this.#afterOutbox = entry !== undefined;
    if (entry !== undefined) {
      return { ...entry, taken: () => removeOutboxEntry(this.#parts.store, entry.id) };
    }
    return this.#nextHeartbeat() ?? this.#nextProgress();
  }

  #nextHeartbeat(): Outgoing | undefined {
    const heartbeat = this.#heartbeat;
    if (heartbeat === undefined) return undefined;
    const taken = (): void => {
      if (this.#heartbeat === heartbeat) this.#heartbeat = undefined;
      this.lastHeartbeatMs = Date.now();
    };
    return { ...this.#parts.numbers.next(), body: heartbeat, taken };
  }

  #nextProgress(): Outgoing | undefined {
    if (performance.now() - this.#progressSentAt < progressIntervalMs) return undefined;
    const items = [...this.#progress.values()].slice(0, itemsInMessage);
    if (items.length === 0) return undefined;
    const taken = (): void => {
      this.#progressSentAt = performance.now();
      for (const item of items) {
        if (this.#progress.get(item.protectedItemId) === item) this.#progress.delete(item.protectedItemId);
      }
    };
    return { ...this.#parts.numbers.next(), body: { kind: 'progress', items }, taken };
  }

  async #send(tokens: ApplianceTokens, outgoing: Outgoing): Promise<void> {
    const link = await this.#linkWith(tokens);
    const { applianceId, vaultId } = this.#parts.registration;
    const checkIn = await this.#checkIn(tokens, outgoing);
    const jws = await new CompactSign(Buffer.from(JSON.stringify(checkIn)))
      .setProtectedHeader({ alg: 'ES256' })
      .sign(this.#parts.identity.signingKey);
    const body: CheckInMessage = { vaultId, applianceId, jws };
    const abortSignal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(sendTimeoutMs)]);
    const messageId = `${applianceId}-${outgoing.epoch}-${outgoing.sequence}`;
    await link.sender.sendMessages({ body, messageId, contentType: 'application/json' }, { abortSignal });
  }

  async #checkIn(tokens: ApplianceTokens, { epoch, sequence, body }: Outgoing): Promise<CheckIn> {
    const { applianceId, vaultId } = this.#parts.registration;
    const envelope = { version: 1, applianceId, vaultId, epoch, sequence, sentAtMs: Date.now() } as const;
    const json = JSON.stringify(body);
    if (Buffer.byteLength(json) <= claimCheckBytes) return { ...envelope, body };
    const name = `${applianceId}/${epoch}-${sequence}`;
    return { ...envelope, claimCheck: await putClaimCheck(this.#parts.web, tokens.claimChecks, name, json) };
  }

  /** The SDK does not renew a SAS that it was given, so every renewal gets a client of its own. */
  async #linkWith(tokens: ApplianceTokens): Promise<Link> {
    if (this.#link?.tokens === tokens) return this.#link;
    await this.#unlink();
    const options = { ...this.#parts.serviceBus, retryOptions };
    const client = new ServiceBusClient(tokens.checkIns.connectionString, options);
    this.#link = { tokens, client, sender: client.createSender(tokens.checkIns.queue) };
    return this.#link;
  }

  async #unlink(): Promise<void> {
    const client = this.#link?.client;
    this.#link = undefined;
    await closeClient(client);
  }

  async #failed(error: unknown): Promise<void> {
    const { code, message } = describe(error);
    if (this.trouble === undefined) {
      log.warn('A check-in was not taken and will be sent again.', { code, message });
    }
    this.trouble = { sinceMs: this.trouble?.sinceMs ?? Date.now(), message };
    if (code === 'UnauthorizedAccess' || code === 'AuthorizationFailed') this.#parts.tokens.renewSoon();
    await this.#unlink();
  }
}

/** An error of the SDK or of our own, without the connection string that it may hold. */
export function describe(error: unknown): { code: string; message: string } {
  if (error instanceof DomainError) return error.fault;
  if (!(error instanceof Error)) return { code: 'Unknown', message: String(error) };
  const code = 'code' in error ? String(error.code) : error.name;
  const message = error.message.replaceAll(/(SharedAccessSignature|sig)=[^\s;&"]+/giu, '$1=…');
  return { code, message: message.slice(0, 1_000) };
}
