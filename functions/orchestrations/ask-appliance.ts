import { type OrchestrationContext, type Task } from 'durable-functions';
import { commandEvent, commandIdOf } from '../../shared/command/command-result.ts';
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { DomainError } from '../../shared/fault.ts';
import { type CommandBody, type CommandResult } from '../../shared/wire/command.ts';
import { readCommandResult, sendCommand } from '../activities/command.ts';
import { JobCancelled } from './run-job.ts';

export type Question = {
  vault: VaultRef;
  applianceId: string;
  /** Unique in the orchestration; with the instance id it makes the command's id. */
  step: string;
  /** How long the appliance may take. */
  timeoutMinutes: number;
  /** Completes when the job was cancelled: then nobody waits any longer. */
  cancelled?: Task;
} & (
  | { body: CommandBody }
  /** Sends the command itself, where its body must not lie in the history. */
  | { send: (command: CommandHead) => Generator<Task, void, unknown> }
);

/** A command without what it asks. */
export type CommandHead = { applianceId: string; commandId: string; issuedAtMs: number };

/**
 * Sends a command to an appliance and waits for its answer, however often the host dies meanwhile. The answer comes
 * as an event; should the event be lost, the kept answer is found a little later.
 * @throws DomainError: the appliance's own fault, or RemoteFailure when it did not answer in time; JobCancelled.
 */
export function* askAppliance(
  context: OrchestrationContext,
  question: Question,
): Generator<Task, CommandResult, unknown> {
  const { vault, applianceId, cancelled } = question;
  const commandId = commandIdOf(context.df.instanceId, question.step);
  const issuedAtMs = context.df.currentUtcDateTime.getTime();
  const deadlineMs = issuedAtMs + question.timeoutMinutes * 60_000;
  let answered = context.df.waitForExternalEvent(commandEvent(commandId));
  const head = { applianceId, commandId, issuedAtMs };
  yield* 'send' in question ? question.send(head) : sendCommand(context, { ...head, body: question.body });
  for (;;) {
    if (cancelled?.isCompleted === true) throw new JobCancelled();
    const nowMs = context.df.currentUtcDateTime.getTime();
    const timer = context.df.createTimer(new Date(Math.min(nowMs + lookAgainMs, deadlineMs)));
    const first = yield context.df.Task.any(
      cancelled === undefined ? [answered, timer] : [answered, cancelled, timer],
    );
    if (first !== timer) timer.cancel();
    const { result } = yield* readCommandResult(context, { vault, applianceId, commandId });
    if (result !== undefined) return succeeded(result);
    if (context.df.currentUtcDateTime.getTime() >= deadlineMs) throw noAnswer(question);
    // An event without an answer from this appliance is not for us: wait for the next.
    if (first === answered) answered = context.df.waitForExternalEvent(commandEvent(commandId));
  }
}

/** How long an answer may lie unnoticed when its event was lost. */
const lookAgainMs = 60_000;

function succeeded(result: CommandResult): CommandResult {
  if (result.outcome === 'succeeded') return result;
  throw new DomainError(
    result.fault ?? { code: 'RemoteFailure', message: 'The appliance could not do it and did not say why.' },
  );
}

function noAnswer(question: Question): DomainError {
  return new DomainError({
    code: 'RemoteFailure',
    message: `The appliance ${question.applianceId} did not answer within ${question.timeoutMinutes} minutes.`,
    possibleCauses: 'The configuration server is stopped, or can not reach Service Bus.',
    recommendedAction: 'Check that the configuration server runs and has network, then repeat the operation.',
  });
}
