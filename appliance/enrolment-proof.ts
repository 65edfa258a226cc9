import { createHash, createHmac, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/**
 * The mutual proof of the passphrase, known to the agent and to the process server, which never travels.
 * Both proofs cover both nonces, so neither can be replayed; the agent's covers the certificate of the server it
 * talks to, so that a man in the middle, who has to show another certificate, can't pass it on; the server's covers
 * the CA and the certificate it hands out, so the agent trusts no one else's.
 */

const derive = promisify<string, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(
  scrypt,
);

/** The key that both sides prove to have. @param salt base64, 32 bytes */
export async function proofKey(passphrase: string, salt: string): Promise<Buffer> {
  return derive(passphrase.normalize('NFC'), Buffer.from(salt, 'base64'), 32, {
    N: 2 ** 15,
    r: 8,
    p: 1,
    maxmem: 64 * 1024 * 1024,
  });
}

/** What one enrolment is about; the same on both sides, or the proofs differ. */
export interface EnrolmentTranscript {
  biosUuid: string;
  agentNonce: string;
  serverNonce: string;
  /** SHA-256 of the server's TLS certificate, as the agent sees it and as the server knows it. */
  serverFingerprint: string;
  certificateRequestPem: string;
}

/** The agent's proof. base64, 32 bytes. */
export function agentProof(key: Buffer, transcript: EnrolmentTranscript): string {
  return prove(key, 'secondsite agent enrolment v1', [
    transcript.biosUuid.toLowerCase(),
    transcript.agentNonce,
    transcript.serverNonce,
    transcript.serverFingerprint,
    transcript.certificateRequestPem,
  ]);
}

/** The server's proof over what it answers. base64, 32 bytes. */
export function serverProof(
  key: Buffer,
  transcript: EnrolmentTranscript,
  answer: { certificatePem: string; caCertificatePem: string },
): string {
  return prove(key, 'secondsite server enrolment v1', [
    transcript.agentNonce,
    transcript.serverNonce,
    answer.caCertificatePem,
    answer.certificatePem,
  ]);
}

/** Compares two base64 proofs of 32 bytes in constant time. */
export function proofsEqual(one: string, other: string): boolean {
  return timingSafeEqual(Buffer.from(one, 'base64'), Buffer.from(other, 'base64'));
}

/** HMAC over hashes of the parts: fixed lengths, so that no two lists of parts give the same bytes. */
function prove(key: Buffer, purpose: string, parts: string[]): string {
  const mac = createHmac('sha256', key);
  for (const part of [purpose, ...parts]) mac.update(createHash('sha256').update(part).digest());
  return mac.digest('base64');
}
