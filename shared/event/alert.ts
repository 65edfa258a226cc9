/**
 * Alerts: events that people and programs are told of, by e-mail and by webhook. Each way is tried until it succeeds
 * or a day is over. Before each try it is written down that it is made: should the host die during one, nobody knows
 * whether it got through, and it is not made again. So nothing is told twice; what is lost then stands in the events.
 */
import { z } from 'zod';
import { type VaultRef } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { type RowKey, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { VaultEvent } from './event.ts';

/**
 * How one way of telling stands.
 * - due: to be tried, now or later.
 * - trying: somebody is at it, or died at it.
 * - done: told, or nobody to be told.
 * - failed: given up.
 */
const Way = z.enum(['due', 'trying', 'done', 'failed']);

const Alert = z.object({
  event: VaultEvent,
  email: Way,
  webhook: Way,
  tries: z.number(),
  nextAtMs: z.number(),
});
type Alert = z.infer<typeof Alert>;

/** A way to tell of events. @throws whatever went wrong: it is tried again then. */
export type Tell = (vault: VaultRef, event: VaultEvent) => Promise<void>;
/** The ways there are; one that is not set up is done at once. */
export type AlertWays = { email: Tell | undefined; webhook: Tell | undefined };

const kind = 'alerts';
const givenUpAfterMs = 86_400_000;
const wayNames = ['email', 'webhook'] as const;

/** Keeps an alert of an event; one that is there stays as it is. */
export async function keepAlert(table: Table, vault: VaultRef, event: VaultEvent): Promise<void> {
  await new Rows(table, Alert).update(alertKey(vault, event.eventId), (kept) =>
    kept === undefined ? { event, email: 'due', webhook: 'due', tries: 0, nextAtMs: event.atMs } : undefined,
  );
}

/** Sends what is due in a vault. Answers what went wrong, for the log. */
export async function sendAlerts(
  table: Table,
  vault: VaultRef,
  { ways, nowMs }: { ways: AlertWays; nowMs: number },
): Promise<{ eventId: string; way: string; message: string }[]> {
  const rows = await new Rows(table, Alert).all(rowsBelow(vaultPartition(vault), kind));
  const problems = [];
  for (const { value: alert } of rows) {
    if (alert.nextAtMs > nowMs) continue;
    for (const way of wayNames) {
      if (alert[way] !== 'due') continue;
      const message = await sendOne(table, vault, { alert, way, tell: ways[way], nowMs });
      if (message !== undefined) problems.push({ eventId: alert.event.eventId, way, message });
    }
    await forgetOld(table, vault, { alert, nowMs });
  }
  return problems;
}

async function sendOne(
  table: Table,
  vault: VaultRef,
  {
    alert,
    way,
    tell,
    nowMs,
  }: { alert: Alert; way: 'email' | 'webhook'; tell: Tell | undefined; nowMs: number },
): Promise<string | undefined> {
  const rows = new Rows(table, Alert);
  const key = alertKey(vault, alert.event.eventId);
  let isOurs = false;
  await rows.update(key, (now) => {
    isOurs = now?.[way] === 'due';
    return now !== undefined && isOurs
      ? { ...now, [way]: tell === undefined ? 'done' : 'trying' }
      : undefined;
  });
  if (!isOurs || tell === undefined) return undefined;
  const problem = await tried(() => tell(vault, alert.event));
  const isOver = nowMs - alert.event.atMs > givenUpAfterMs;
  await rows.update(key, (now) => {
    if (now === undefined) return undefined;
    if (problem === undefined) return { ...now, [way]: 'done' };
    const tries = now.tries + 1;
    const nextAtMs = nowMs + Math.min(60_000 * 2 ** Math.min(tries, 6), 3_600_000);
    return { ...now, [way]: isOver ? 'failed' : 'due', tries, nextAtMs };
  });
  return problem;
}

async function tried(tell: () => Promise<void>): Promise<string | undefined> {
  try {
    await tell();
    return undefined;
  } catch (error) {
    if (error instanceof DomainError) return error.fault.message;
    return error instanceof Error ? error.message : 'unknown';
  }
}

/** A finished alert is kept for a week, so that nobody begins it anew. */
async function forgetOld(
  table: Table,
  vault: VaultRef,
  { alert, nowMs }: { alert: Alert; nowMs: number },
): Promise<void> {
  if (nowMs - alert.event.atMs < 7 * givenUpAfterMs) return;
  await new Rows(table, Alert).delete(alertKey(vault, alert.event.eventId));
}

function alertKey(vault: VaultRef, eventId: string): RowKey {
  return rowKey(vaultPartition(vault), kind, eventId);
}
