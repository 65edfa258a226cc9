import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';

import {
  type CertifiedKey,
  createAuthority as createCertificateAuthority,
  issueCertificate,
} from '../../shared/certificate.ts';
import { writeSecretFile } from '../../shared/secret-file.ts';

/** The certificate authority of a data folder. */
export type Authority = CertifiedKey & {
  /** What clients are to trust: NODE_EXTRA_CA_CERTS of a Node process. */
  certificatePath: string;
};

/** Key and certificate of a TLS server, as node:tls takes them. */
export type ServerCertificate = { key: string; cert: string };

const dayMs = 24 * 60 * 60 * 1000;
const AUTHORITY_DAYS = 3650;
const SERVER_DAYS = 365;

/**
 * The authority of a folder: read from `ca.pem` and `ca-key.pem` there, or made and written (mode 600) when they are
 * missing or would expire before a server certificate issued now.
 */
export async function createAuthority(folder: string, nowMs = Date.now()): Promise<Authority> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const certificatePath = join(folder, 'ca.pem');
  const keyPath = join(folder, 'ca-key.pem');
  const certificatePem = readIfThere(certificatePath);
  const privateKeyPem = readIfThere(keyPath);
  if (certificatePem !== undefined && privateKeyPem !== undefined) {
    const expiresAtMs = Date.parse(new X509Certificate(certificatePem).validTo);
    if (expiresAtMs > nowMs + SERVER_DAYS * dayMs) return { certificatePath, certificatePem, privateKeyPem };
  }
  const commonName = 'Secondsite local platform';
  const made = await createCertificateAuthority({ commonName, days: AUTHORITY_DAYS, nowMs });
  writeSecretFile(keyPath, made.privateKeyPem);
  writeSecretFile(certificatePath, made.certificatePem);
  return { certificatePath, ...made };
}

/** A certificate for a server on this machine, under localhost, 127.0.0.1 and ::1 or the given names. */
export async function issueServerCertificate(
  authority: CertifiedKey,
  names: { dnsNames?: string[]; ipAddresses?: string[] } = {},
): Promise<ServerCertificate> {
  const dnsNames = names.dnsNames ?? ['localhost'];
  const { certificatePem, privateKeyPem } = await issueCertificate(authority, {
    commonName: dnsNames[0] ?? 'localhost',
    usage: 'server',
    dnsNames,
    ipAddresses: names.ipAddresses ?? ['127.0.0.1', '::1'],
    days: SERVER_DAYS,
    nowMs: Date.now(),
  });
  return { key: privateKeyPem, cert: certificatePem };
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
