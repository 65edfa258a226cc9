import { compactDecrypt } from 'jose';
import { DomainError } from '../../shared/fault.ts';
import type { Command, CommandBody, CommandResult } from '../../shared/wire/command.ts';
import { log } from '../log.ts';
import type { ProcessServer } from '../process-server/contract.ts';
import type { DiscoveryRound } from './discovery-round.ts';
import {
  ensureCommand,
  finishCommand,
  listPendingCommands,
  pruneCommands,
  tellResult,
  type HandledCommand,
} from './handled-command.ts';
import type { Identity } from './identity.ts';
import { putOutbox, type CheckInNumbers } from './outbox.ts';
import { prepareMachine, updateAgent, type AgentParts } from './prepare-machine.ts';
import type { Store } from './store.ts';
import { faultOf } from './tokens.ts';
import { removeVCenter } from './vcenter.ts';

/** How long after it was received a command may wait for an agent. */
const patienceMs = 60 * 60 * 1000;
const dataKeyBytes = 32;

/** What commands are done with. */
export interface CommandRunnerParts {
  store: Store;
  numbers: CheckInNumbers;
  identity: Identity;
  processServer: ProcessServer;
  discovery: DiscoveryRound;
  /** Where the process server listens. */
  host: string;
  /** Called when a result was put into the outbox. */
  onResult: () => void;
}

/** What a command adds to 'succeeded'. */
type Details = Pick<
  CommandResult,
  'pointSequence' | 'resyncRequest' | 'agentVersion' | 'osName' | 'certificateExpiresAtMs'
>;

interface Running {
  subject: string;
  stop: AbortController;
  ended: Promise<void>;
}

/** Why commands are stopped when the appliance stops: they stay pending and go on after the next start. */
const closing = new Error('The appliance is stopping');

/**
 * Does commands. Those about one subject (a protected item, a vCenter) go one after another in the order they came,
 * except that a stop makes those that still run for its item fail. Each ends with a result that is kept for seven days,
 * so that a command that comes again is answered again and not done again.
 */
export class CommandRunner {
  readonly #parts: CommandRunnerParts;
  readonly #running = new Map<string, Running>();

  constructor(parts: CommandRunnerParts) {
    this.#parts = parts;
  }

  /** Goes on with what was not finished when the appliance was stopped or killed. */
  resume(): void {
    pruneCommands(this.#parts.store, Date.now());
    for (const pending of listPendingCommands(this.#parts.store)) this.#begin(pending);
  }

  /** Writes a command down and begins it; one that ended before is only answered again. */
  take(command: Command): void {
    const { store, numbers, onResult } = this.#parts;
    const handled = ensureCommand(store, command, Date.now());
    if (handled.result === undefined) {
      this.#begin(handled);
      return;
    }
    tellResult(store, handled.result, numbers);
    onResult();
  }

  /** Stops waiting; what has not ended stays pending. */
  async close(): Promise<void> {
    const running = [...this.#running.values()];
    for (const { stop } of running) stop.abort(closing);
    await Promise.all(running.map(async ({ ended }) => ended));
  }

  #begin(handled: HandledCommand): void {
    const { commandId, body } = handled.command;
    if (this.#running.has(commandId)) return;
    const subject = subjectOf(body);
    const before = [...this.#running.values()].filter((running) => running.subject === subject);
    if (body.kind === 'stopReplication')
      for (const { stop } of before) stop.abort(superseded(body.protectedItemId));
    const stop = new AbortController();
    const ended = Promise.all(before.map(async (running) => running.ended))
      .then(async () => this.#run(handled, stop.signal))
      .catch((error: unknown) => {
        // the store refused its result: it stays pending and is done again after the next start
        log.error('A command could not be ended.', { commandId, error: String(error) });
      })
      .finally(() => this.#running.delete(commandId));
    this.#running.set(commandId, { subject, stop, ended });
  }

  async #run({ command, receivedAtMs }: HandledCommand, stop: AbortSignal): Promise<void> {
    const { commandId, body } = command;
    const remainingMs = Math.max(0, receivedAtMs + patienceMs - Date.now());
    const signal = AbortSignal.any([stop, AbortSignal.timeout(remainingMs)]);
    let result: CommandResult;
    try {
      if (stop.aborted) throw stop.reason;
      result = { commandId, outcome: 'succeeded', ...(await this.#perform(commandId, body, signal)) };
    } catch (error) {
      if (stop.reason === closing) return;
      const cause: unknown = stop.aborted ? stop.reason : signal.aborted ? tookTooLong(body) : error;
      result = { commandId, outcome: 'failed', fault: faultOf(cause) };
    }
    log.info('A command ended.', {
      commandId,
      kind: body.kind,
      outcome: result.outcome,
      code: result.fault?.code,
    });
    finishCommand(this.#parts.store, result, this.#parts.numbers, Date.now());
    this.#parts.onResult();
  }

  async #perform(commandId: string, body: CommandBody, signal: AbortSignal): Promise<Details> {
    const { store, processServer, discovery } = this.#parts;
    switch (body.kind) {
      case 'addVCenter':
        await discovery.add(body);
        return {};
      case 'removeVCenter':
        removeVCenter(store, body.vCenterName);
        return {};
      case 'refresh':
        refuseFailures(await discovery.discoverAll('request'));
        return {};
      case 'prepareMachine':
        return prepareMachine(this.#agentParts(commandId), body, signal);
      case 'updateAgent':
        return updateAgent(this.#agentParts(commandId), body, signal);
      case 'startReplication': {
        const { protectedItemId, biosUuid, machineName, disks, schedule } = body;
        const dataKey = await this.#openDataKey(body.sealedDataKey);
        await processServer.assign({ protectedItemId, biosUuid, machineName, disks, schedule, dataKey });
        return {};
      }
      case 'stopReplication':
        await processServer.unassign(body.protectedItemId);
        return {};
      case 'renewCertificate': {
        const { expiresAtMs } = await processServer.renewCertificate();
        return { certificateExpiresAtMs: expiresAtMs };
      }
      case 'resynchronize':
        return processServer.resynchronize(body.protectedItemId);
      case 'createRecoveryPoint':
        break;
    }
    return processServer.createPoint(body.protectedItemId, signal);
  }

  #agentParts(commandId: string): AgentParts {
    const { store, numbers, processServer, host, onResult } = this.#parts;
    const onProgress = (step: string, percent: number): void => {
      const told = { kind: 'commandProgress', commandId, step, percent } as const;
      putOutbox(store, `progress:${commandId}`, told, numbers);
      onResult();
    };
    return { store, processServer, host, onProgress };
  }

  async #openDataKey(sealed: string): Promise<Uint8Array> {
    try {
      const { plaintext } = await compactDecrypt(sealed, this.#parts.identity.encryptionKey, {
        keyManagementAlgorithms: ['ECDH-ES'],
        contentEncryptionAlgorithms: ['A256GCM'],
      });
      if (plaintext.length === dataKeyBytes) return plaintext;
    } catch (error) {
      log.warn('A data key could not be opened.', { error: error instanceof Error ? error.name : 'Unknown' });
    }
    throw new DomainError({
      code: 'InvalidRequest',
      message: 'The data key was not sealed for this appliance.',
      target: 'sealedDataKey',
      recommendedAction:
        'Disable and enable replication of the machine; if it stays, register the appliance anew.',
    });
  }
}

function subjectOf(body: CommandBody): string {
  if ('protectedItemId' in body) return `item:${body.protectedItemId}`;
  return 'vCenterName' in body ? `vcenter:${body.vCenterName.toLowerCase()}` : body.kind;
}

function superseded(protectedItemId: string): DomainError {
  return new DomainError({
    code: 'Conflict',
    message: 'Replication of the machine was stopped while this was under way.',
    target: protectedItemId,
  });
}

function tookTooLong(body: CommandBody): DomainError {
  if (body.kind === 'prepareMachine') {
    return new DomainError({
      code: 'RemoteFailure',
      message: `No mobility agent of the machine '${body.machineName}' (BIOS UUID ${body.biosUuid}) was in touch within an hour.`,
      target: body.machineName,
      possibleCauses: 'The agent is not installed there, is not running, or can’t reach the process server.',
      recommendedAction:
        'Install the agent on the machine with the appliance’s address and passphrase, then try again.',
    });
  }
  return new DomainError({
    code: 'RemoteFailure',
    message: 'The appliance did not get this done within an hour.',
    recommendedAction: 'Look at the state of the machine’s agent and of the process server, then try again.',
  });
}

/** @throws DomainError the only failure, or one that names them all. */
function refuseFailures(faults: { message: string }[]): void {
  if (faults.length === 0) return;
  throw new DomainError({
    code: 'RemoteFailure',
    message: faults
      .map((fault) => fault.message)
      .join('\n')
      .slice(0, 4_000),
    recommendedAction: 'Check these servers and their accounts; the last picture of their machines is kept.',
  });
}
