import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority, issueCertificate, type CertifiedKey } from '../../shared/certificate.ts';
import { writeSecretFile } from '../../shared/secret-file.ts';

const authorityDays = 3_650;
const serverDays = 825;

/** The appliance's own CA and the certificate that port 9443 shows, both made at the first start. */
export async function ensureAuthority(
  folder: string,
  server: { applianceId: string },
): Promise<{ authority: CertifiedKey; server: CertifiedKey }> {
  const authority = await ensure(join(folder, 'ca.json'), () =>
    createAuthority({
      commonName: `Secondsite appliance ${server.applianceId}`,
      days: authorityDays,
      nowMs: Date.now(),
    }),
  );
  const serverKey = await ensure(join(folder, 'server.json'), () =>
    issueCertificate(authority, {
      commonName: server.applianceId,
      usage: 'server',
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1', '::1'],
      days: serverDays,
      nowMs: Date.now(),
    }),
  );
  return { authority, server: serverKey };
}

async function ensure(path: string, make: () => Promise<CertifiedKey>): Promise<CertifiedKey> {
  if (!existsSync(path)) writeSecretFile(path, JSON.stringify(await make()));
  return JSON.parse(readFileSync(path, 'utf8')) as CertifiedKey; // written above
}
