import { DomainError } from '../../shared/fault.ts';
import type { AccountSummary } from '../../shared/wire/appliance-control.ts';
import type { Store } from './store.ts';

/** What a run-as account logs in with. */
export interface Credentials {
  userName: string;
  password: string;
}

/**
 * Adds a run-as account.
 *
 * @throws DomainError Conflict when there is one of this name.
 */
export function addAccount(store: Store, accountName: string, credentials: Credentials): AccountSummary {
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
    .prepare('INSERT INTO account (name, userName, sealedPassword) VALUES (?, ?, ?)')
    .run(accountName, credentials.userName, sealed(store, credentials.password));
  return { accountId: String(lastInsertRowid), accountName, userName: credentials.userName };
}

/** Changes an account's password, and its user name where one is given. */
export function updateAccount(
  store: Store,
  idOrName: string,
  change: { userName?: string | undefined; password: string },
): AccountSummary {
  const account = getAccount(store, idOrName);
  const userName = change.userName ?? account.userName;
  store.db
    .prepare('UPDATE account SET userName = ?, sealedPassword = ? WHERE id = ?')
    .run(userName, sealed(store, change.password), Number(account.accountId));
  return { ...account, userName };
}

/** The accounts without their passwords. */
export function listAccounts(store: Store): AccountSummary[] {
  const rows = store.db.prepare('SELECT id, name, userName FROM account ORDER BY id').all();
  return rows.map((row) => ({
    accountId: String(row['id']),
    accountName: String(row['name']),
    userName: String(row['userName']),
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
