import { DomainError, Fault } from '../../shared/fault.ts';
import type { VCenterSummary } from '../../shared/wire/appliance-control.ts';
import type { DiscoveryReport } from '../../shared/wire/discovery.ts';
import { findSetting, putSetting, removeSetting, type Row, type Store } from './store.ts';

/** A vCenter or ESXi host to discover, and how the last discovery went. */
export type VCenter = VCenterSummary;

/** Where a vCenter is and with which account it is reached. */
export type VCenterAddress = Pick<VCenter, 'vCenterName' | 'address' | 'port' | 'accountId'>;

export function listVCenters(store: Store): VCenter[] {
  return store.db.prepare('SELECT * FROM vcenter ORDER BY name').all().map(fromRow);
}

export function findVCenter(store: Store, vCenterName: string): VCenter | undefined {
  const row = store.db.prepare('SELECT * FROM vcenter WHERE name = ?').get(vCenterName);
  return row === undefined ? undefined : fromRow(row);
}

/** @throws DomainError ResourceNotFound */
export function getVCenter(store: Store, vCenterName: string): VCenter {
  const found = findVCenter(store, vCenterName);
  if (found !== undefined) return found;
  throw new DomainError({
    code: 'ResourceNotFound',
    message: `The appliance has no vCenter '${vCenterName}'.`,
    target: vCenterName,
    recommendedAction: 'Add it to the vault first.',
  });
}

/** Adds a vCenter or changes where it is; the fingerprint is pinned from here on. */
export function putVCenter(store: Store, vCenter: VCenterAddress, fingerprint: string): void {
  store.db
    .prepare(
      `INSERT INTO vcenter (name, address, port, accountId, fingerprint) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET address = excluded.address, port = excluded.port, accountId = excluded.accountId,
         fingerprint = excluded.fingerprint`,
    )
    .run(vCenter.vCenterName, vCenter.address, vCenter.port, Number(vCenter.accountId), fingerprint);
}

/** Pins another certificate, after a person accepted it. */
export function pinFingerprint(store: Store, vCenterName: string, fingerprint: string): void {
  getVCenter(store, vCenterName);
  store.db.prepare('UPDATE vcenter SET fingerprint = ? WHERE name = ?').run(fingerprint, vCenterName);
}

/** Idempotent: a vCenter that isn't there is removed already. */
export function removeVCenter(store: Store, vCenterName: string): void {
  store.db.prepare('DELETE FROM vcenter WHERE name = ?').run(vCenterName);
  store.db.prepare('DELETE FROM outbox WHERE subject = ?').run(discoverySubject(vCenterName));
  removeSetting(store, refusedLoginSetting(vCenterName));
}

/** What keeps one discovery of a vCenter in the outbox: the newest. */
export function discoverySubject(vCenterName: string): string {
  return `discovery:${vCenterName.toLowerCase()}`;
}

export function recordDiscovered(store: Store, report: DiscoveryReport): void {
  store.db
    .prepare(
      `UPDATE vcenter SET lastSuccessMs = ?, product = ?, machines = ?, fault = NULL, failingSinceMs = NULL
       WHERE name = ?`,
    )
    .run(report.discoveredAtMs, report.product, report.machines.length, report.vCenterName);
  removeSetting(store, refusedLoginSetting(report.vCenterName));
}

/** The last picture stays; since when it is out of date is kept from the first failure on. */
export function recordFailed(store: Store, vCenterName: string, fault: Fault, nowMs: number): void {
  store.db
    .prepare('UPDATE vcenter SET fault = ?, failingSinceMs = coalesce(failingSinceMs, ?) WHERE name = ?')
    .run(JSON.stringify(fault), nowMs, vCenterName);
}

/** When a login was last refused, by the machine's clock; undefined since one succeeded or an account changed. */
export function refusedLoginAtMs(store: Store, vCenterName: string): number | undefined {
  const found = findSetting(store, refusedLoginSetting(vCenterName));
  return found === undefined ? undefined : Number(found);
}

/** Kept through restarts: an appliance that starts again and again would lock the account as surely as a wild loop. */
export function recordRefusedLogin(store: Store, vCenterName: string, nowMs: number): void {
  putSetting(store, refusedLoginSetting(vCenterName), String(nowMs));
}

/** Every vCenter is worth a try again. */
export function forgetRefusedLogins(store: Store): void {
  for (const { vCenterName } of listVCenters(store)) {
    removeSetting(store, refusedLoginSetting(vCenterName));
  }
}

function refusedLoginSetting(vCenterName: string): string {
  return `refusedLogin:${vCenterName.toLowerCase()}`;
}

/** The fault as the vault is told it: with since when. */
export function faultWithSince(vCenter: VCenter): Fault | undefined {
  if (vCenter.fault === undefined || vCenter.failingSinceMs === undefined) return undefined;
  const since = new Date(vCenter.failingSinceMs).toISOString();
  return { ...vCenter.fault, message: `Since ${since}: ${vCenter.fault.message}`.slice(0, 4_000) };
}

function fromRow(row: Row): VCenter {
  const optional = <K extends string, T>(name: K, convert: (value: unknown) => T): Partial<Record<K, T>> =>
    row[name] === null || row[name] === undefined ? {} : ({ [name]: convert(row[name]) } as Record<K, T>);
  return {
    vCenterName: String(row['name']),
    address: String(row['address']),
    port: Number(row['port']),
    accountId: String(row['accountId']),
    ...optional('fingerprint', String),
    ...optional('product', String),
    ...optional('machines', Number),
    ...optional('lastSuccessMs', Number),
    ...optional('failingSinceMs', Number),
    ...optional('fault', (text) => Fault.parse(JSON.parse(String(text)))),
  };
}
