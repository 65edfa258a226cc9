import type { Fault } from '../../shared/fault.ts';
import type { DiscoveryReport } from '../../shared/wire/discovery.ts';
import { log } from '../log.ts';
import { getCredentials } from './account.ts';
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
  type VCenterAddress,
} from './vcenter.ts';
import { discover } from './vsphere/discover.ts';
import { VSphereClient } from './vsphere/client.ts';

/** Wrong passwords lock accounts: after a refused login the rounds leave the vCenter alone for this long. */
const refusedLoginPauseMs = 60 * 60 * 1000;

/** Discovers vCenters, one at a time, and puts what it finds into the outbox. */
export class DiscoveryRound {
  readonly #store: Store;
  readonly #numbers: CheckInNumbers;
  readonly #onChange: () => void;
  readonly #pausedUntil = new Map<string, number>();
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

  /** A round over all vCenters: on schedule, those whose login was refused are left out for a while. */
  async discoverAll(why: 'schedule' | 'request'): Promise<Fault[]> {
    const faults: Fault[] = [];
    for (const { vCenterName } of listVCenters(this.#store)) {
      if (why === 'schedule' && performance.now() < (this.#pausedUntil.get(vCenterName) ?? 0)) continue;
      const fault = await this.#inTurn(async () => this.#discoverKnown(vCenterName));
      if (fault !== undefined) faults.push(fault);
    }
    return faults;
  }

  /** After an account changed, all of them are worth a try again. */
  forgetPauses(): void {
    this.#pausedUntil.clear();
  }

  /** Resolves when what is under way has ended. */
  async settled(): Promise<void> {
    await this.#last;
  }

  async #discoverKnown(vCenterName: string): Promise<Fault | undefined> {
    const vCenter = findVCenter(this.#store, vCenterName);
    if (vCenter === undefined) return undefined; // removed while the round went on
    try {
      const report = await this.#discover(vCenter, vCenter.fingerprint);
      if (findVCenter(this.#store, vCenterName) !== undefined) this.#keep(report, () => undefined);
      this.#pausedUntil.delete(vCenterName);
      return undefined;
    } catch (error) {
      const fault = faultOf(error);
      if (fault.code === 'AuthenticationFailed') {
        this.#pausedUntil.set(vCenterName, performance.now() + refusedLoginPauseMs);
      }
      log.warn('A vCenter could not be discovered.', {
        vCenterName,
        code: fault.code,
        message: fault.message,
      });
      recordFailed(this.#store, vCenterName, fault, Date.now());
      this.#onChange();
      return fault;
    }
  }

  async #discover(vCenter: VCenterAddress, fingerprint: string | undefined): Promise<DiscoveryReport> {
    const { userName, password } = getCredentials(this.#store, vCenter.accountId);
    const { address: host, port } = vCenter;
    const client = await VSphereClient.connect({ host, port, user: userName, password, fingerprint });
    try {
      return await discover(client, vCenter.vCenterName);
    } finally {
      await client.close();
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
