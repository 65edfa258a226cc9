import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { createHash, createPrivateKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 24 * 60 * 60 * 1000;

/** A certificate and its private key, both PEM (the key PKCS #8). */
export interface CertifiedKey {
  certificatePem: string;
  privateKeyPem: string;
}

/** Makes a self-signed CA, P-256, that may sign end certificates only. */
export async function createAuthority(options: {
  commonName: string;
  days: number;
  nowMs: number;
}): Promise<CertifiedKey> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [options.commonName] }],
    notBefore: new Date(options.nowMs - dayMs),
    notAfter: new Date(options.nowMs + options.days * dayMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificatePem: certificate.toString('pem'), privateKeyPem: await exportKey(keys.privateKey) };
}

/** What a certificate is to say. */
export interface CertificateSubject {
  commonName: string;
  /** server: TLS servers. client: TLS clients. */
  usage: 'server' | 'client';
  /** Names and addresses a client may reach the server under. */
  dnsNames?: string[];
  ipAddresses?: string[];
  days: number;
  nowMs: number;
}

/** Makes a key and a certificate for it, signed by the authority. */
export async function issueCertificate(
  authority: CertifiedKey,
  subject: CertificateSubject,
): Promise<CertifiedKey> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificatePem = await certify(authority, keys.publicKey, subject);
  return { certificatePem, privateKeyPem: await exportKey(keys.privateKey) };
}

/** Makes a key and a PKCS #10 request for it, to be signed elsewhere: the private key never leaves its machine. */
export async function createCertificateRequest(
  commonName: string,
): Promise<{ requestPem: string; privateKeyPem: string }> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [commonName] }],
    keys,
    signingAlgorithm: algorithm,
  });
  return { requestPem: request.toString('pem'), privateKeyPem: await exportKey(keys.privateKey) };
}

/**
 * Signs a request. Only its public key counts; subject and extensions are ours, not the requester's.
 *
 * @throws Error when the request is not one, its own signature is wrong, or its key is not P-256.
 */
export async function signCertificateRequest(
  authority: CertifiedKey,
  requestPem: string,
  subject: CertificateSubject,
): Promise<string> {
  const request = new x509.Pkcs10CertificateRequest(requestPem);
  if (!(await request.verify())) throw new Error('The certificate request is not signed by its own key.');
  const publicKey = await request.publicKey.export(algorithm, ['verify']);
  return certify(authority, publicKey, subject);
}

/** SHA-256 of the certificate: 32 bytes in upper case hex, colons between, as browsers and openssl show it. */
export function fingerprintOf(certificate: string | Uint8Array): string {
  const raw = typeof certificate === 'string' ? new X509Certificate(certificate).raw : certificate;
  const hex = createHash('sha256').update(raw).digest('hex').toUpperCase();
  return hex.match(/../gu)?.join(':') ?? '';
}

async function certify(
  authority: CertifiedKey,
  publicKey: webcrypto.CryptoKey,
  subject: CertificateSubject,
): Promise<string> {
  const issuer = new x509.X509Certificate(authority.certificatePem);
  const names = [
    ...(subject.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(subject.ipAddresses ?? []).map((value) => ({ type: 'ip' as const, value })),
  ];
  const usage =
    subject.usage === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [{ CN: [subject.commonName] }],
    issuer: issuer.subjectName,
    notBefore: new Date(subject.nowMs - dayMs),
    notAfter: new Date(Math.min(subject.nowMs + subject.days * dayMs, issuer.notAfter.getTime())),
    signingAlgorithm: algorithm,
    publicKey,
    signingKey: await importKey(authority.privateKeyPem),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage]),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return certificate.toString('pem');
}

/** 16 random bytes, positive: RFC 5280 allows 20 octets. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString();
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
}
