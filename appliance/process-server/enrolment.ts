import { randomBytes, randomUUID, X509Certificate } from 'node:crypto';
import { fingerprintOf, signCertificateRequest, type CertifiedKey } from '../../shared/certificate.ts';
import { DomainError } from '../../shared/fault.ts';
import type {
  EnrolmentChallenge,
  EnrolmentChallengeRequest,
  EnrolmentRequest,
  EnrolmentResult,
} from '../../shared/wire/agent.ts';
import { agentProof, proofKey, proofsEqual, serverProof } from '../enrolment-proof.ts';
import type { AgentRegistry } from './agent-registry.ts';

const challengeLifeMs = 60_000;
const openChallengesAtMost = 1_000;
/** Wrong proofs from one address before it has to wait, and for how long. */
const guessesAtMost = 5;
const lockOutMs = 60_000;
/** Each proof costs 32 MiB and a tenth of a second to check: one at a time, and so many may wait. */
const waitingAtMost = 64;
const certificateDays = 365;

interface OpenChallenge {
  biosUuid: string;
  agentNonce: string;
  serverNonce: string;
  salt: string;
  expiresAtMs: number;
  /** What the port showed when it began. */
  serverCertificatePem: string;
}

/** Lets mobility agents in that prove the passphrase, and slows down whoever guesses. */
export class Enrolment {
  /** What the port shows now: proofs are bound to it. */
  serverCertificatePem: string;
  readonly #challenges = new Map<string, OpenChallenge>();
  readonly #wrongProofs = new Map<string, { count: number; untilMs: number }>();
  #lastTurn: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  readonly #options: {
    authority: CertifiedKey;
    serverCertificatePem: string;
    passphrase: () => string;
    agents: AgentRegistry;
  };

  constructor(options: {
    authority: CertifiedKey;
    serverCertificatePem: string;
    passphrase: () => string;
    agents: AgentRegistry;
  }) {
    this.#options = options;
    this.serverCertificatePem = options.serverCertificatePem;
  }

  /** @throws DomainError TooManyRequests after several wrong proofs from this address. */
  challenge(request: EnrolmentChallengeRequest, address: string): EnrolmentChallenge {
    this.#refuseGuessers(address);
    const nowMs = Date.now();
    for (const [id, open] of this.#challenges) {
      if (open.expiresAtMs <= nowMs || this.#challenges.size >= openChallengesAtMost)
        this.#challenges.delete(id);
    }
    const challengeId = randomUUID();
    const open: OpenChallenge = {
      biosUuid: request.biosUuid.toLowerCase(),
      agentNonce: request.agentNonce,
      serverNonce: randomBytes(32).toString('base64'),
      salt: randomBytes(32).toString('base64'),
      expiresAtMs: nowMs + challengeLifeMs,
      serverCertificatePem: this.serverCertificatePem,
    };
    this.#challenges.set(challengeId, open);
    return { challengeId, serverNonce: open.serverNonce, salt: open.salt };
  }

  /**
   * Checks the proof and signs the agent's certificate. A challenge serves once.
   *
   * @throws DomainError AuthenticationFailed on a wrong passphrase, InvalidRequest on a bad certificate request,
   *   TooManyRequests after several wrong proofs from this address, or while too many others wait.
   */
  enrol(request: EnrolmentRequest, address: string): Promise<EnrolmentResult> {
    if (this.#waiting >= waitingAtMost) throw tooBusy();
    this.#waiting += 1;
    const turn = this.#lastTurn
      .then(() => this.#enrol(request, address))
      .finally(() => {
        this.#waiting -= 1;
      });
    this.#lastTurn = turn.catch(() => {}); // its caller hears of it
    return turn;
  }

  async #enrol(request: EnrolmentRequest, address: string): Promise<EnrolmentResult> {
    this.#refuseGuessers(address);
    const open = this.#challenges.get(request.challengeId);
    this.#challenges.delete(request.challengeId);
    if (!open || open.expiresAtMs <= Date.now()) throw staleChallenge();
    const key = await proofKey(this.#options.passphrase(), open.salt);
    const transcript = {
      biosUuid: open.biosUuid,
      agentNonce: open.agentNonce,
      serverNonce: open.serverNonce,
      serverFingerprint: fingerprintOf(open.serverCertificatePem),
      certificateRequestPem: request.certificateRequestPem,
    };
    if (!proofsEqual(agentProof(key, transcript), request.proof)) throw this.#wrongProof(address);
    this.#wrongProofs.delete(address);
    const certificatePem = await this.#sign(request.certificateRequestPem, open.biosUuid);
    await this.#options.agents.enrol({
      biosUuid: open.biosUuid,
      serialNumber: new X509Certificate(certificatePem).serialNumber,
      machine: request.machine,
      ipAddress: address,
    });
    const answer = { certificatePem, caCertificatePem: this.#options.authority.certificatePem };
    return { ...answer, proof: serverProof(key, transcript, answer) };
  }

  async #sign(requestPem: string, biosUuid: string): Promise<string> {
    try {
      return await signCertificateRequest(this.#options.authority, requestPem, {
        commonName: biosUuid,
        usage: 'client',
        days: certificateDays,
        nowMs: Date.now(),
      });
    } catch (cause) {
      throw new DomainError(
        {
          code: 'InvalidRequest',
          message:
            'The certificate request of the agent can not be signed: it is not a PKCS #10 request with a P-256 key.',
          target: 'certificateRequestPem',
          recommendedAction: 'Update the mobility agent, then enrol it again.',
        },
        { cause },
      );
    }
  }

  #wrongProof(address: string): DomainError {
    const nowMs = Date.now();
    for (const [known, wrong] of this.#wrongProofs)
      if (wrong.untilMs <= nowMs) this.#wrongProofs.delete(known);
    const count = (this.#wrongProofs.get(address)?.count ?? 0) + 1;
    this.#wrongProofs.set(address, { count, untilMs: nowMs + lockOutMs });
    return new DomainError({
      code: 'AuthenticationFailed',
      message: 'The passphrase is not the one of this configuration server.',
      target: 'passphrase',
      recommendedAction:
        "Show the passphrase on the configuration server with 'secondsite appliance passphrase show' and enrol again.",
    });
  }

  #refuseGuessers(address: string): void {
    const wrong = this.#wrongProofs.get(address);
    if (!wrong || wrong.count < guessesAtMost || wrong.untilMs <= Date.now()) return;
    throw new DomainError({
      code: 'TooManyRequests',
      message: `Too many enrolments with a wrong passphrase came from ${address}.`,
      recommendedAction: 'Wait a minute, then enrol with the right passphrase.',
    });
  }
}

function tooBusy(): DomainError {
  return new DomainError({
    code: 'TooManyRequests',
    message: 'Too many machines enrol at the same time.',
    recommendedAction: 'Enrol again in a minute.',
  });
}

function staleChallenge(): DomainError {
  return new DomainError({
    code: 'AuthenticationFailed',
    message: 'The enrolment took longer than a minute, or its challenge was used already.',
    recommendedAction: 'Enrol again.',
  });
}
