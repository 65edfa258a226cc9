import { type VaultRef } from '../arm/resource-id.ts';
import { type RowKey, rowKey, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { CommandResult } from '../wire/command.ts';

/** Id of the command that a step of an orchestration sends: the same whenever the step is done again. */
export function commandIdOf(instanceId: string, step: string): string {
  return `${instanceId}:${step}`;
}

/** The orchestration that a command belongs to. */
export function instanceOfCommand(commandId: string): string {
  return commandId.slice(0, Math.max(commandId.indexOf(':'), 0));
}

/** Name of the event that tells an orchestration that a command was answered. */
export function commandEvent(commandId: string): string {
  return `command:${commandId}`;
}

/**
 * Keeps an appliance's answer. It is kept before the orchestration is told, so that one that was not listening
 * finds it. The first answer to a command stays; a repeated one changes nothing.
 */
export async function keepCommandResult(
  table: Table,
  from: { vault: VaultRef; applianceId: string },
  result: CommandResult,
): Promise<void> {
  const rows = new Rows(table, CommandResult);
  await rows.update(resultKey(from.vault, from.applianceId, result.commandId), (kept) =>
    kept === undefined ? result : undefined,
  );
}

/** The answer to a command, when there is one. */
export async function findCommandResult(
  table: Table,
  from: { vault: VaultRef; applianceId: string },
  commandId: string,
): Promise<CommandResult | undefined> {
  const row = await new Rows(table, CommandResult).find(resultKey(from.vault, from.applianceId, commandId));
  return row?.value;
}

/** The appliance is part of the key: no appliance can answer for another. */
function resultKey(vault: VaultRef, applianceId: string, commandId: string): RowKey {
  return rowKey(vaultPartition(vault), 'commandresults', applianceId, commandId);
}
