import type { Fault } from '../../shared/fault.ts';
import type { DiscoveryReport } from '../../shared/wire/discovery.ts';
import { isRetryable } from '../../shared/fault.ts';
import { log } from '../log.ts';
import { getCredentials } from './account.ts';
import { BackOff, delay } from './back-off.ts';
import { describeMachine } from './machine.ts';
import { putOutbox, type CheckInNumbers } from './outbox.ts';
import { inTransaction, type Store } from './store.ts';
import { faultOf } from './tokens.ts';
import {
  discoverySubject,
  findVCenter,
  getVCenter,
  listVCenters,
  putVCenter,
  recordDiscovered,
  recordFailed,
  recordRefusedLogin,
  refusedLoginAtMs,
  type VCenterAddress,
} from './vcenter.ts';
import { VCenterWatcher } from './vcenter-watcher.ts';

/**
 * Wrong passwords lock accounts, in vSphere after five within three minutes where nobody set it otherwise. After a
 * refused login the rounds leave the vCenter alone for an hour, and a person who asks waits a minute
 * (vSphere Authentication, "Edit the vCenter Single Sign-On Lockout Policy").
 */
const refusedLoginPauseMs = { schedule: 60 * 60 * 1000, request: 60 * 1000 };

/** A watch that held this long was a good one: the next loss is tried again soon. */
const goodWatchMs = 5 * 60 * 1000;
const retryMs = { first: 1_000, longest: 15 * 60 * 1000 };

/** How a lost or unreachable vCenter is tried again. */
interface Retry {
  backOff: BackOff;
  isWaiting: boolean;
  startedAt: number;
}

/**
 * Discovers vCenters, one at a time, and puts what it finds into the outbox. Between the rounds each vCenter tells its
 * changes itself; one that is lost is tried again, ever more seldom.
 */
export class DiscoveryRound {
  readonly #store: Store;
  readonly #numbers: CheckInNumbers;
  readonly #onChange: () => void;
  readonly #watchers = new Map<string, VCenterWatcher>();
  readonly #retries = new Map<string, Retry>();
  readonly #closing = new AbortController();
  #last: Promise<unknown> = Promise.resolve();

  /** @param onChange called when the outbox or the state of a vCenter changed */
  constructor(store: Store, numbers: CheckInNumbers, onChange: () => void) {
    this.#store = store;
    this.#numbers = numbers;
    this.#onChange = onChange;
  }

  /**
   * Connects, discovers, and from then on keeps the vCenter with its certificate pinned; nothing is kept when any of it
   * fails. The same server under the same name keeps the certificate that was pinned before.
   *
   * @throws DomainError as the vCenter client, or ResourceNotFound for the account.
   */
  async add(vCenter: VCenterAddress): Promise<void> {
    await this.#inTurn(async () => {
      const known = findVCenter(this.#store, vCenter.vCenterName);
      const same = known?.address === vCenter.address && known.port === vCenter.port;
      const report = await this.#discover(vCenter, same ? known.fingerprint : undefined);
      this.#keep(report, () => putVCenter(this.#store, vCenter, report.fingerprint));
    });
  }

  /** A round over all vCenters. Those whose login was refused are left out for a while, and their fault is told again. */
  async discoverAll(why: 'schedule' | 'request'): Promise<Fault[]> {
    const faults: Fault[] = [];
    await this.#inTurn(async () => this.#unwatchRemoved());
    for (const { vCenterName, fault: known } of listVCenters(this.#store)) {
      if (this.#isPaused(vCenterName, refusedLoginPauseMs[why])) {
        if (known !== undefined) faults.push(known);
        continue;
      }
      const fault = await this.#inTurn(async () => this.#discoverKnown(vCenterName));
      if (fault !== undefined) faults.push(fault);
    }
    return faults;
  }

  /** After an account changed: those that refused the login are tried at once. */
  async retryRefused(): Promise<void> {
    const refused = listVCenters(this.#store).filter(({ fault }) => fault?.code === 'AuthenticationFailed');
    for (const { vCenterName } of refused) await this.#inTurn(async () => this.#discoverKnown(vCenterName));
  }

  /** Hears no more changes; resolves when what is under way has ended. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#inTurn(async () => {
      for (const vCenterName of this.#watchers.keys()) await this.#unwatch(vCenterName);
    });
  }

  async #discoverKnown(vCenterName: string): Promise<Fault | undefined> {
    const vCenter = findVCenter(this.#store, vCenterName);
    if (vCenter === undefined) return undefined; // removed while the round went on
    try {
      const report = await this.#discover(vCenter, vCenter.fingerprint);
      if (findVCenter(this.#store, vCenterName) !== undefined) this.#keep(report, () => undefined);
      return undefined;
    } catch (error) {
      const fault = faultOf(error);
      if (fault.code === 'AuthenticationFailed') {
        recordRefusedLogin(this.#store, vCenterName, Date.now());
      }
      this.#failed(vCenterName, vCenter.fault, fault);
      return fault;
    }
  }

  /** By the machine's clock, to hold through restarts; a clock that was set back ends the pause. */
  #isPaused(vCenterName: string, pauseMs: number): boolean {
    const agoMs = Date.now() - (refusedLoginAtMs(this.#store, vCenterName) ?? -Infinity);
    return agoMs >= 0 && agoMs < pauseMs;
  }

  #failed(vCenterName: string, before: Fault | undefined, fault: Fault): void {
    if (before?.message !== fault.message) {
      const { code, message } = fault;
      log.warn('A vCenter could not be discovered.', { vCenterName, code, message });
    }
    recordFailed(this.#store, vCenterName, fault, Date.now());
    this.#onChange();
    if (isRetryable(fault)) void this.#retry(vCenterName);
  }

  /** Reads everything anew, and keeps the session for what changes from then on. */
  async #discover(vCenter: VCenterAddress, fingerprint: string | undefined): Promise<DiscoveryReport> {
    const { vCenterName, address: host, port, accountId } = vCenter;
    const { userName: user, password } = getCredentials(this.#store, accountId);
    await this.#unwatch(vCenterName);
    const watcher = await VCenterWatcher.start({
      vCenterName,
      settings: { host, port, user, password, fingerprint },
      ownBiosUuid: describeMachine().biosId,
      onReport: (report) => this.#heard(report),
      onLost: (error) => this.#lost(vCenterName, error),
    });
    this.#watchers.set(vCenterName.toLowerCase(), watcher);
    this.#retryOf(vCenterName).startedAt = performance.now();
    return watcher.first;
  }

  #heard(report: DiscoveryReport): void {
    if (findVCenter(this.#store, report.vCenterName) !== undefined) this.#keep(report, () => undefined);
    else void this.#inTurn(async () => this.#unwatchRemoved());
  }

  #lost(vCenterName: string, error: unknown): void {
    this.#watchers.delete(vCenterName.toLowerCase());
    const { code, message } = faultOf(error);
    log.warn('A vCenter tells its changes no more.', { vCenterName, code, message });
    const retry = this.#retryOf(vCenterName);
    if (performance.now() - retry.startedAt > goodWatchMs) retry.backOff.reset();
    void this.#retry(vCenterName);
  }

  /** Discovers again after a while, unless that is going to happen already. */
  async #retry(vCenterName: string): Promise<void> {
    const retry = this.#retryOf(vCenterName);
    if (retry.isWaiting) return;
    retry.isWaiting = true;
    await delay(retry.backOff.nextMs(), this.#closing.signal);
    retry.isWaiting = false;
    if (this.#closing.signal.aborted || this.#watchers.has(vCenterName.toLowerCase())) return;
    await this.#inTurn(async () => this.#discoverKnown(vCenterName));
  }

  #retryOf(vCenterName: string): Retry {
    const key = vCenterName.toLowerCase();
    const known = this.#retries.get(key);
    if (known !== undefined) return known;
    const backOff = new BackOff(retryMs.first, retryMs.longest);
    const retry = { backOff, isWaiting: false, startedAt: 0 };
    this.#retries.set(key, retry);
    return retry;
  }

  async #unwatch(vCenterName: string): Promise<void> {
    const key = vCenterName.toLowerCase();
    const watcher = this.#watchers.get(key);
    this.#watchers.delete(key);
    await watcher?.close();
  }

  async #unwatchRemoved(): Promise<void> {
    for (const vCenterName of this.#watchers.keys()) {
      if (findVCenter(this.#store, vCenterName) === undefined) await this.#unwatch(vCenterName);
    }
  }

  #keep(report: DiscoveryReport, alsoKeep: () => void): void {
    const { vCenterName } = report;
    inTransaction(this.#store, () => {
      alsoKeep();
      recordDiscovered(this.#store, report);
      const body = {
        kind: 'discovery',
        vCenterName: getVCenter(this.#store, vCenterName).vCenterName,
        report,
      } as const;
      putOutbox(this.#store, discoverySubject(vCenterName), body, this.#numbers);
    });
    log.info('A vCenter was discovered.', { vCenterName, machines: report.machines.length });
    this.#onChange();
  }

  async #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(run);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
