import { createHash } from 'node:crypto';
import type { HostKeySummary } from '../../shared/wire/appliance-control.ts';
import type { Store } from '../configuration-server/store.ts';

/** What a host is known by: the fingerprint of the key that it showed first, as ssh-keygen prints it. */
export function fingerprintOfHostKey(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/u, '')}`;
}

/** Keeps the key of a host that was not known. @returns the fingerprint that it is known by */
export function pinHostKey(store: Store, host: string, fingerprint: string): string {
  store.db
    .prepare('INSERT OR IGNORE INTO hostKey (host, fingerprint, firstSeenMs) VALUES (?, ?, ?)')
    .run(host, fingerprint, Date.now());
  return String(
    store.db.prepare('SELECT fingerprint FROM hostKey WHERE host = ?').get(host)?.['fingerprint'],
  );
}

export function listHostKeys(store: Store): HostKeySummary[] {
  const rows = store.db.prepare('SELECT host, fingerprint, firstSeenMs FROM hostKey ORDER BY host').all();
  return rows.map((row) => ({
    host: String(row['host']),
    fingerprint: String(row['fingerprint']),
    firstSeenMs: Number(row['firstSeenMs']),
  }));
}

/** The next key that the host shows is taken for its own. @returns whether it was known, under the address alone or with its port */
export function forgetHostKey(store: Store, address: string): boolean {
  const words = 'DELETE FROM hostKey WHERE host = ? OR host LIKE ?';
  return store.db.prepare(words).run(address, `${address.replaceAll(/[%_]/gu, '')}:%`).changes > 0;
}
