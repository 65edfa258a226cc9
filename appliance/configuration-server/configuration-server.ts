/**
 * The configuration server: the appliance's side towards the vault. Sends check-ins, takes commands, discovers vCenters.
 */
import type { ServiceBusClientOptions } from '@azure/service-bus';
import { DomainError } from '../../shared/fault.ts';
import type { Heartbeat } from '../../shared/wire/check-in.ts';
import type { ApplianceStatus } from '../../shared/wire/appliance-control.ts';
import { listAgentPackages } from '../push/agent-packages.ts';
import type { ProcessServer, ProcessServerEvent } from '../process-server/contract.ts';
import { listAccounts } from './account.ts';
import { delay } from './back-off.ts';
import { CheckInSender } from './check-in-sender.ts';
import { CommandReceiver } from './command-receiver.ts';
import { CommandRunner } from './command-runner.ts';
import { DiscoveryRound } from './discovery-round.ts';
import { HealthMeter } from './health.ts';
import { pruneCommands } from './handled-command.ts';
import { findPrerequisites, type Identity, type Registration } from './identity.ts';
import { describeMachine } from './machine.ts';
import { putOutbox, type CheckInNumbers } from './outbox.ts';
import type { Store } from './store.ts';
import type { TokenKeeper } from './tokens.ts';
import { faultWithSince, listVCenters } from './vcenter.ts';
import { WakeUp } from './wake-up.ts';
import type { WebClient } from './web-client.ts';

const heartbeatMs = 30_000;
const discoveryMs = 15 * 60 * 1000;
/** Changes that come together go into one heartbeat. */
const gatherMs = 200;

/** What the configuration server is built from. */
export interface ConfigurationServerParts {
  store: Store;
  numbers: CheckInNumbers;
  registration: Registration;
  identity: Identity;
  web: WebClient;
  tokens: TokenKeeper;
  /** How Service Bus is reached. */
  serviceBus: ServiceBusClientOptions;
  processServer: ProcessServer;
  /** Where the process server listens. */
  host: string;
}

/** The running configuration server. */
export class ConfigurationServer {
  readonly discovery: DiscoveryRound;
  readonly #parts: ConfigurationServerParts;
  readonly #sender: CheckInSender;
  readonly #runner: CommandRunner;
  readonly #receiver: CommandReceiver;
  readonly #health = new HealthMeter();
  readonly #changed = new WakeUp();
  readonly #closing = new AbortController();
  readonly #startedAtMs = Date.now();
  #loops: Promise<void>[] = [];

  constructor(parts: ConfigurationServerParts) {
    const { store, numbers, identity, processServer, tokens } = parts;
    this.#parts = parts;
    this.#sender = new CheckInSender(parts);
    this.discovery = new DiscoveryRound(store, numbers, () => {
      this.#sender.wake();
      this.#changed.wake();
    });
    this.#runner = new CommandRunner({
      store,
      numbers,
      identity,
      processServer,
      discovery: this.discovery,
      host: parts.host,
      onResult: () => {
        this.#sender.wake();
        this.#changed.wake();
      },
    });
    this.#receiver = new CommandReceiver(tokens, parts.serviceBus, (command) => this.#runner.take(command));
  }

  start(): void {
    this.#parts.tokens.start();
    this.#sender.start();
    this.#runner.resume();
    this.#receiver.start();
    this.#loops = [this.#heartbeats(), this.#discoveries()];
  }

  /** Accounts, vCenters or agents changed: the vault is told at once. */
  changed(): void {
    this.#changed.wake();
  }

  /** What the process server tells, as check-ins. */
  handle(event: ProcessServerEvent): void {
    if (event.kind === 'progress') this.#sender.setProgress(event.item);
    else if (event.kind === 'agent') this.#changed.wake();
    else {
      const { store, numbers, processServer } = this.#parts;
      const { protectedItemId, sequence } = event.point;
      putOutbox(store, `point:${protectedItemId}:${sequence}`, event.point, numbers);
      this.#sender.wake();
      // it is durably ours now; confirmed in a turn of its own, because the process server is in the middle of telling
      setImmediate(() => processServer.pointConfirmed(protectedItemId, sequence));
    }
  }

  /** The running part of the status. */
  status(): Pick<ApplianceStatus, 'cloud' | 'processServer' | 'replication' | 'agents' | 'startedAtMs'> {
    const { processServer, tokens } = this.#parts;
    const { lastHeartbeatMs, trouble } = this.#sender;
    return {
      cloud: {
        ...tokens.state,
        ...(lastHeartbeatMs === undefined ? {} : { lastHeartbeatMs }),
        ...(trouble === undefined ? {} : { checkIns: trouble }),
      },
      processServer: {
        host: this.#parts.host,
        port: processServer.port,
        caFingerprint: processServer.caFingerprint,
        certificateExpiresAtMs: processServer.caExpiresAtMs,
        health: { ...this.#health.measure(), ...processServer.health() },
      },
      replication: processServer.progress().map(({ protectedItemId, phase, fault }) => ({
        protectedItemId,
        phase,
        ...(fault === undefined ? {} : { fault }),
      })),
      agents: processServer.agents(),
      startedAtMs: this.#startedAtMs,
    };
  }

  /** Another certificate for the port that agents come in at; the vault hears of it at once. */
  async renewCertificate(): Promise<{ fingerprint: string; expiresAtMs: number }> {
    const renewed = await this.#parts.processServer.renewCertificate();
    this.#changed.wake();
    return renewed;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#receiver.close();
    await this.discovery.close();
    await this.#runner.close();
    await this.#sender.close();
    await this.#parts.tokens.close();
    await Promise.all(this.#loops);
  }

  async #heartbeats(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      this.#sender.setHeartbeat(this.#heartbeat());
      await this.#changed.wait(heartbeatMs, signal);
      await delay(gatherMs, signal);
    }
  }

  async #discoveries(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await this.discovery.discoverAll('schedule');
      pruneCommands(this.#parts.store, Date.now());
      await delay(discoveryMs, signal);
    }
  }

  #heartbeat(): Heartbeat {
    const { store, processServer } = this.#parts;
    const prerequisites = findPrerequisites(store);
    const agentPackageVersion = findPackageVersion(store);
    return {
      kind: 'heartbeat',
      ...(agentPackageVersion === undefined ? {} : { agentPackageVersion }),
      machine: describeMachine(),
      ...(prerequisites === undefined ? {} : { prerequisites }),
      processServer: { ...this.#health.measure(), ...processServer.health() },
      accounts: listAccounts(store).map(({ accountId, accountName }) => ({ accountId, accountName })),
      agents: processServer.agents(),
      vCenters: listVCenters(store).map((vCenter) => {
        const { vCenterName, lastSuccessMs } = vCenter;
        const fault = faultWithSince(vCenter);
        return {
          vCenterName,
          ...(lastSuccessMs === undefined ? {} : { lastSuccessMs }),
          ...(fault === undefined ? {} : { fault }),
        };
      }),
      certificateExpiresAtMs: Math.min(processServer.caExpiresAtMs, processServer.certificateExpiresAtMs()),
      startedAtMs: this.#startedAtMs,
    };
  }
}

/** Packages that are not to be trusted are none; a push says why. */
function findPackageVersion(store: Store): string | undefined {
  try {
    return listAgentPackages(store)[0]?.version;
  } catch (error) {
    if (error instanceof DomainError) return undefined;
    throw error;
  }
}
