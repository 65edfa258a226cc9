import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority, issueCertificate, type CertifiedKey } from '../../shared/certificate.ts';
import { writeSecretFile } from '../../shared/secret-file.ts';

const authorityDays = 3_650;
const serverDays = 825;
/** At a start so long before its end, the server's certificate is made anew. */
const renewBeforeMs = 90 * 24 * 60 * 60 * 1_000;

/** The appliance's own CA and the certificate that port 9443 shows, both made at the first start. */
export async function ensureAuthority(
  folder: string,
  server: { applianceId: string },
): Promise<{ authority: CertifiedKey; server: CertifiedKey }> {
  const kept = find(join(folder, 'ca.json'));
  const authority =
    kept ??
    keep(
      join(folder, 'ca.json'),
      await createAuthority({
        commonName: `Secondsite appliance ${server.applianceId}`,
        days: authorityDays,
        nowMs: Date.now(),
      }),
    );
  const keptServer = find(join(folder, 'server.json'));
  if (keptServer && !isEnding(keptServer)) return { authority, server: keptServer };
  return { authority, server: await renewServer(folder, authority, server) };
}

/** Makes another certificate, with another key, for port 9443. Agents trust the CA, which stays: they notice nothing. */
export async function renewServer(
  folder: string,
  authority: CertifiedKey,
  server: { applianceId: string },
): Promise<CertifiedKey> {
  const made = await issueCertificate(authority, {
    commonName: server.applianceId,
    usage: 'server',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1', '::1'],
    days: serverDays,
    nowMs: Date.now(),
  });
  return keep(join(folder, 'server.json'), made);
}

/** Agents trust the CA, so that a new server certificate costs them nothing; a new CA would lock them all out. */
function isEnding({ certificatePem }: CertifiedKey): boolean {
  return new X509Certificate(certificatePem).validToDate.getTime() < Date.now() + renewBeforeMs;
}

function find(path: string): CertifiedKey | undefined {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as CertifiedKey) : undefined; // written by keep
}

function keep(path: string, key: CertifiedKey): CertifiedKey {
  writeSecretFile(path, JSON.stringify(key));
  return key;
}
