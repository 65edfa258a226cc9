import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer } from 'node:tls';
import { expect, test } from 'vitest';
import {
  createAuthority,
  createCertificateRequest,
  fingerprintOf,
  issueCertificate,
  signCertificateRequest,
} from './certificate.ts';

const nowMs = Date.now();

test('a server and a client of one authority trust each other over TLS, and both names are told', async () => {
  const authority = await createAuthority({ commonName: 'Test CA', days: 10, nowMs });
  const serverKey = await issueCertificate(authority, {
    commonName: 'server',
    usage: 'server',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    days: 5,
    nowMs,
  });
  const request = await createCertificateRequest('anything');
  const clientCertificate = await signCertificateRequest(authority, request.requestPem, {
    commonName: 'client-7',
    usage: 'client',
    days: 5,
    nowMs,
  });
  const server = createServer({
    key: serverKey.privateKeyPem,
    cert: serverKey.certificatePem,
    ca: authority.certificatePem,
    requestCert: true,
    rejectUnauthorized: true,
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const accepted = once(server, 'secureConnection');
  const client = connect({
    host: '127.0.0.1',
    port: address.port,
    ca: authority.certificatePem,
    key: request.privateKeyPem,
    cert: clientCertificate,
  });
  const [socket] = await accepted;
  expect(socket.getPeerCertificate().subject.CN).toBe('client-7');
  client.destroy();
  server.close();
});

test('an end certificate is no authority and does not outlive the one that signed it', async () => {
  const authority = await createAuthority({ commonName: 'Short CA', days: 2, nowMs });
  const issued = await issueCertificate(authority, { commonName: 'x', usage: 'server', days: 900, nowMs });
  const certificate = new X509Certificate(issued.certificatePem);
  expect(certificate.ca).toBe(false);
  expect(certificate.verify(new X509Certificate(authority.certificatePem).publicKey)).toBe(true);
  expect(certificate.validTo).toBe(new X509Certificate(authority.certificatePem).validTo);
  expect(fingerprintOf(issued.certificatePem)).toBe(certificate.fingerprint256);
});

test('a request that is not signed by its own key is refused', async () => {
  const authority = await createAuthority({ commonName: 'CA', days: 2, nowMs });
  const { requestPem } = await createCertificateRequest('victim');
  const lines = requestPem.trim().split('\n');
  const der = Buffer.from(lines.slice(1, -1).join(''), 'base64');
  const at = der.indexOf('victim');
  der.write('w', at);
  const forged = `${lines[0]}\n${der.toString('base64')}\n${lines.at(-1)}`;
  await expect(
    signCertificateRequest(authority, forged, { commonName: 'x', usage: 'client', days: 1, nowMs }),
  ).rejects.toThrow('not signed by its own key');
});
