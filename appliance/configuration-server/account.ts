import { DomainError } from '../../shared/fault.ts';
import type { AccountSummary } from '../../shared/wire/appliance-control.ts';
import type { Store } from './store.ts';

const keyPurpose = 'account-key';

/** What a run-as account logs in with. */
export interface Credentials {
  userName: string;
  password: string;
}

/** How a run-as account enters machines over SSH. */
export interface SshCredentials extends Credentials {
  /** Empty where there is only a key; beside a key it is for sudo. */
  password: string;
  privateKey?: string;
  port: number;
}

/** What can be said of an account. What is undefined stays as it is, or is not there. */
interface AccountChange {
  userName?: string | undefined;
  password?: string | undefined;
  privateKey?: string | undefined;
  sshPort?: number | undefined;
}

/**
 * Adds a run-as account.
 *
 * @throws DomainError Conflict when there is one of this name.
 */
export function addAccount(
  store: Store,
  accountName: string,
  account: AccountChange & { userName: string },
): AccountSummary {
  const { userName, password, privateKey, sshPort } = account;
  if (password === undefined && privateKey === undefined) {
    throw new DomainError({
      code: 'InvalidRequest',
      message: 'An account has a password, a private key, or both.',
      target: accountName,
    });
  }
  if (listAccounts(store).some((account) => sameName(account.accountName, accountName))) {
    throw new DomainError({
      code: 'Conflict',
      message: `There is an account named '${accountName}' already.`,
      target: accountName,
      recommendedAction:
        'Take another name, or change its password with `secondsite appliance accounts update`.',
    });
  }
  const { lastInsertRowid } = store.db
    .prepare(
      'INSERT INTO account (name, userName, sealedPassword, sealedPrivateKey, sshPort) VALUES (?, ?, ?, ?, ?)',
    )
    .run(
      accountName,
      userName,
      sealed(store, password ?? ''),
      privateKey === undefined ? null : store.box.seal(keyPurpose, privateKey),
      sshPort ?? 22,
    );
  return getAccount(store, String(lastInsertRowid));
}

/** Changes what is given of an account. */
export function updateAccount(store: Store, idOrName: string, change: AccountChange): AccountSummary {
  const { accountId } = getAccount(store, idOrName);
  const { userName, password, privateKey, sshPort } = change;
  store.db
    .prepare(
      `UPDATE account SET userName = coalesce(?, userName), sealedPassword = coalesce(?, sealedPassword),
         sealedPrivateKey = coalesce(?, sealedPrivateKey), sshPort = coalesce(?, sshPort) WHERE id = ?`,
    )
    .run(
      userName ?? null,
      password === undefined ? null : sealed(store, password),
      privateKey === undefined ? null : store.box.seal(keyPurpose, privateKey),
      sshPort ?? null,
      Number(accountId),
    );
  return getAccount(store, accountId);
}

/** The accounts without their passwords. */
export function listAccounts(store: Store): AccountSummary[] {
  const rows = store.db
    .prepare(
      'SELECT id, name, userName, sshPort, sealedPrivateKey IS NOT NULL AS hasKey FROM account ORDER BY id',
    )
    .all();
  return rows.map((row) => ({
    accountId: String(row['id']),
    accountName: String(row['name']),
    userName: String(row['userName']),
    sshPort: Number(row['sshPort']),
    hasPrivateKey: row['hasKey'] === 1,
  }));
}

/** @throws DomainError Conflict while a vCenter is reached with it. */
export function removeAccount(store: Store, idOrName: string): AccountSummary {
  const account = getAccount(store, idOrName);
  const users = store.db
    .prepare('SELECT name FROM vcenter WHERE accountId = ?')
    .all(Number(account.accountId));
  if (users.length > 0) {
    const names = users.map((row) => `'${String(row['name'])}'`).join(', ');
    throw new DomainError({
      code: 'Conflict',
      message: `The account '${account.accountName}' is in use by ${names}.`,
      target: account.accountName,
      recommendedAction: 'Remove the vCenter from the vault first.',
    });
  }
  store.db.prepare('DELETE FROM account WHERE id = ?').run(Number(account.accountId));
  return account;
}

/** @throws DomainError ResourceNotFound */
export function getCredentials(store: Store, accountId: string): Credentials {
  const account = getAccount(store, accountId);
  const row = store.db
    .prepare('SELECT sealedPassword FROM account WHERE id = ?')
    .get(Number(account.accountId));
  return {
    userName: account.userName,
    password: store.box.open('account', row?.['sealedPassword'] as Uint8Array),
  };
}

/** With what the account enters machines. @throws DomainError ResourceNotFound */
export function getLogin(store: Store, accountId: string): SshCredentials {
  const { sshPort, accountId: id } = getAccount(store, accountId);
  const row = store.db.prepare('SELECT sealedPrivateKey FROM account WHERE id = ?').get(Number(id));
  const key = row?.['sealedPrivateKey'];
  return {
    ...getCredentials(store, id),
    ...(key instanceof Uint8Array ? { privateKey: store.box.open(keyPurpose, key) } : {}),
    port: sshPort,
  };
}

/** By id, or by name where no id fits. */
function getAccount(store: Store, idOrName: string): AccountSummary {
  const accounts = listAccounts(store);
  const found =
    accounts.find((account) => account.accountId === idOrName) ??
    accounts.find((account) => sameName(account.accountName, idOrName));
  if (found !== undefined) return found;
  throw new DomainError({
    code: 'ResourceNotFound',
    message: `The appliance has no account '${idOrName}'.`,
    target: idOrName,
    recommendedAction: 'Add it at the appliance with `secondsite appliance accounts add`.',
  });
}

function sealed(store: Store, password: string): Uint8Array {
  return store.box.seal('account', password);
}

function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
