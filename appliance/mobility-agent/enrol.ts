import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { createCertificateRequest, fingerprintOf } from '../../shared/certificate.ts';
import { DomainError } from '../../shared/fault.ts';
import {
  agentProtocol,
  EnrolmentChallenge,
  EnrolmentResult,
  type AgentMachine,
} from '../../shared/wire/agent.ts';
import { agentProof, proofKey, proofsEqual, serverProof } from '../enrolment-proof.ts';
import { Connection } from './connection.ts';
import type { AgentIdentity } from './identity.ts';

/**
 * Enrols this machine at a process server: both sides prove the passphrase, the agent gets its certificate.
 *
 * @throws DomainError AuthenticationFailed when the passphrase is wrong, or the server can't prove that it knows it;
 *   Unavailable when it can't be reached.
 */
export async function enrol(options: {
  host: string;
  port: number;
  passphrase: string;
  biosUuid: string;
  machine: AgentMachine;
}): Promise<AgentIdentity> {
  const { host, port, biosUuid } = options;
  const serverCertificatePem = await fetchServerCertificate(host, port);
  // Trusting just the certificate seen: the proofs bind the enrolment to it.
  const connection = new Connection({ host, port, caCertificatePem: serverCertificatePem });
  try {
    const agentNonce = randomBytes(32).toString('base64');
    const challenge = await connection.post({
      path: `${agentProtocol.path}/enrolment/challenge`,
      body: { biosUuid, agentNonce },
      answer: EnrolmentChallenge,
    });
    const { requestPem, privateKeyPem } = await createCertificateRequest(biosUuid);
    const key = await proofKey(options.passphrase, challenge.salt);
    const transcript = {
      biosUuid,
      agentNonce,
      serverNonce: challenge.serverNonce,
      serverFingerprint: fingerprintOf(serverCertificatePem),
      certificateRequestPem: requestPem,
    };
    const result = await connection.post({
      path: `${agentProtocol.path}/enrolment`,
      body: {
        challengeId: challenge.challengeId,
        certificateRequestPem: requestPem,
        machine: options.machine,
        proof: agentProof(key, transcript),
      },
      answer: EnrolmentResult,
    });
    if (!proofsEqual(serverProof(key, transcript, result), result.proof)) throw impostor(host, port);
    const { certificatePem, caCertificatePem } = result;
    return { biosUuid, host, port, certificatePem, caCertificatePem, privateKeyPem };
  } finally {
    connection.close();
  }
}

async function fetchServerCertificate(host: string, port: number): Promise<string> {
  const socket = connect({ host, port, minVersion: 'TLSv1.3', rejectUnauthorized: false });
  try {
    socket.setTimeout(15_000, () => socket.destroy(new Error('No answer within 15 seconds.')));
    await once(socket, 'secureConnect');
    const certificate = socket.getPeerX509Certificate();
    if (!certificate) throw new Error('The server showed no certificate.');
    return certificate.toString();
  } catch (cause) {
    throw new DomainError(
      {
        code: 'Unavailable',
        message: `The process server ${host}:${port} can not be reached.`,
        recommendedAction: 'Check the address given with --server, and that the appliance runs.',
      },
      { cause },
    );
  } finally {
    socket.destroy();
  }
}

function impostor(host: string, port: number): DomainError {
  return new DomainError({
    code: 'AuthenticationFailed',
    message: `What answers at ${host}:${port} does not know the passphrase: it is not your process server.`,
    recommendedAction: 'Check the address and the network between, then enrol again.',
  });
}
