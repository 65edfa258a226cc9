import { Command, CommandResult } from '../../shared/wire/command.ts';
import { CheckInNumbers, putOutbox } from './outbox.ts';
import { inTransaction, type Store } from './store.ts';

const keptMs = 7 * 24 * 60 * 60 * 1000;

/** A command as it was taken in. Without a result it is still to be done, after a restart too. */
export interface HandledCommand {
  command: Command;
  receivedAtMs: number;
  result?: CommandResult;
}

/** Takes a command in. Returns what is known of it: the one taken in before under this id, or the new one. */
export function ensureCommand(store: Store, command: Command, nowMs: number): HandledCommand {
  store.db
    .prepare('INSERT OR IGNORE INTO command (id, body, receivedAtMs) VALUES (?, ?, ?)')
    .run(command.commandId, JSON.stringify(command), nowMs);
  const row = store.db.prepare('SELECT * FROM command WHERE id = ?').get(command.commandId);
  const known = { command, receivedAtMs: Number(row?.['receivedAtMs'] ?? nowMs) };
  const result = row?.['result'];
  return typeof result === 'string' ? { ...known, result: CommandResult.parse(JSON.parse(result)) } : known;
}

/** Commands without a result, oldest first. */
export function listPendingCommands(store: Store): HandledCommand[] {
  const rows = store.db
    .prepare('SELECT body, receivedAtMs FROM command WHERE result IS NULL ORDER BY receivedAtMs, rowid')
    .all();
  return rows.map((row) => ({
    command: Command.parse(JSON.parse(String(row['body']))),
    receivedAtMs: Number(row['receivedAtMs']),
  }));
}

/** Keeps a command's end and the check-in that tells it, together. The command's words, sealed keys included, go. */
export function finishCommand(
  store: Store,
  result: CommandResult,
  numbers: CheckInNumbers,
  nowMs: number,
): void {
  inTransaction(store, () => {
    store.db
      .prepare("UPDATE command SET result = ?, finishedAtMs = ?, body = '' WHERE id = ?")
      .run(JSON.stringify(result), nowMs, result.commandId);
    tellResult(store, result, numbers);
  });
}

/** Tells a command's result, again where the command came again. */
export function tellResult(store: Store, result: CommandResult, numbers: CheckInNumbers): void {
  putOutbox(store, `command:${result.commandId}`, { kind: 'commandResult', result }, numbers);
}

/** Forgets commands that ended over seven days ago. */
export function pruneCommands(store: Store, nowMs: number): void {
  store.db.prepare('DELETE FROM command WHERE finishedAtMs < ?').run(nowMs - keptMs);
}
