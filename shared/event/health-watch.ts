/**
 * What the watches remember of a thing's health: what is wrong and since when. A change is written down together with
 * the event that tells of it, and the event is passed on after that: a host that dies in between loses none, and
 * tells none twice.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type VaultRef } from '../arm/resource-id.ts';
import { type HealthError } from '../fabric/health-error.ts';
import { type RowKey, rowKey, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { keepAlert } from './alert.ts';
import { type Severity, VaultEvent } from './event.ts';
import { recordEvent } from './event-store.ts';

/** What is remembered. */
export const KeptHealth = z.object({
  /** By code: since when it is wrong. */
  sinceMs: z.record(z.string(), z.number()),
  /** Whatever shows that replication moves, and when it last changed; items only. */
  moved: z.object({ mark: z.string(), atMs: z.number() }).optional(),
  /** Told of next, unless a host died while doing it. */
  pending: z.object({ event: VaultEvent, alerts: z.boolean() }).optional(),
});
export type KeptHealth = z.infer<typeof KeptHealth>;

/** How often it is written down that an item moves: standstill is told of an hour after it, by so much at most later. */
const movedEveryMs = 5 * 60_000;

/** A thing that is watched, and where what is remembered of it lies. */
export interface Watched {
  vault: VaultRef;
  /**
   * Reads, decides, writes; again when another watch wrote at the same time. Undefined from `change` leaves it as it
   * is. Answers what is then remembered.
   */
  update(change: (kept: KeptHealth | undefined) => KeptHealth | undefined): Promise<KeptHealth | undefined>;
}

/** What is found at a look. */
export interface Look {
  errors: readonly HealthError[];
  moved?: KeptHealth['moved'];
}

/** Who is told of in events. */
export type EventSubject = Pick<VaultEvent, 'code' | 'type' | 'affected' | 'fabric'> & { what: string };

/** A configuration server, by its GUID. What is remembered of it has a row of its own. */
export function watchedServer(table: Table, vault: VaultRef, applianceId: string): Watched {
  const rows = new Rows(table, KeptHealth);
  return { vault, update: (change) => rows.update(serverKey(vault, applianceId), change) };
}

export function forgetServerHealth(table: Table, vault: VaultRef, applianceId: string): Promise<void> {
  return new Rows(table, KeptHealth).delete(serverKey(vault, applianceId));
}

/**
 * Writes down what has changed since the last look, and tells of it. `look` is given what is remembered; it may be
 * called again when another watch wrote at the same time.
 */
export async function watchHealth(
  table: Table,
  watched: Watched,
  seen: { subject: EventSubject; nowMs: number; look: (kept: KeptHealth | undefined) => Look | undefined },
): Promise<void> {
  const kept = await watched.update((kept) => {
    if (kept?.pending !== undefined) return undefined;
    return nextHealth(kept, seen.look(kept), seen);
  });
  if (kept?.pending === undefined) return;
  const { event, alerts } = kept.pending;
  await recordEvent(table, watched.vault, event);
  if (alerts) await keepAlert(table, watched.vault, event);
  await watched.update((now) => {
    if (now?.pending?.event.eventId !== event.eventId) return undefined;
    const { pending: _, ...told } = now;
    return told;
  });
}

/** What is to be remembered after a look; undefined when nothing has changed, or the thing is not looked at. */
export function nextHealth(
  kept: KeptHealth | undefined,
  look: Look | undefined,
  { subject, nowMs }: { subject: EventSubject; nowMs: number },
): KeptHealth | undefined {
  if (look === undefined) return undefined;
  const before = kept?.sinceMs ?? {};
  const codes = [...new Set(look.errors.map(({ errorCode }) => errorCode))].sort();
  const arisen = codes.filter((code) => before[code] === undefined);
  const isChanged = arisen.length > 0 || codes.length !== Object.keys(before).length;
  if (!isChanged && !hasMoved(kept, look, nowMs)) return undefined;
  const next: KeptHealth = {
    sinceMs: Object.fromEntries(codes.map((code) => [code, before[code] ?? nowMs])),
    ...(look.moved !== undefined && { moved: look.moved }),
  };
  if (!isChanged) return next;
  const event = eventOf(look.errors, { subject, nowMs });
  // A person is told when something new is wrong, and when all is well again; not of each step between.
  return { ...next, pending: { event, alerts: arisen.length > 0 || codes.length === 0 } };
}

/** Movement alone is written down now and then only: items move all the time. */
function hasMoved(kept: KeptHealth | undefined, { moved }: Look, nowMs: number): boolean {
  if (moved === undefined || moved.mark === kept?.moved?.mark) return false;
  return kept?.moved === undefined || nowMs - kept.moved.atMs >= movedEveryMs;
}

function eventOf(
  errors: readonly HealthError[],
  { subject, nowMs }: { subject: EventSubject; nowMs: number },
): VaultEvent {
  const severity = severityOf(errors);
  const { what, ...about } = subject;
  return {
    ...about,
    eventId: randomUUID(),
    atMs: nowMs,
    severity,
    description: `${what} health changed to ${severity === 'OK' ? 'Normal' : severity}.`,
    healthErrors: errors.map((error) => ({
      errorCategory: error.errorCategory,
      errorCode: error.errorCode,
      summaryMessage: error.summaryMessage,
      errorMessage: error.errorMessage,
      possibleCauses: error.possibleCauses,
      recommendedAction: error.recommendedAction,
      creationTimeUtc: error.creationTimeUtc,
    })),
  };
}

function severityOf(errors: readonly HealthError[]): Severity {
  if (errors.length === 0) return 'OK';
  return errors.some(({ errorLevel }) => errorLevel === 'Error') ? 'Critical' : 'Warning';
}

function serverKey(vault: VaultRef, applianceId: string): RowKey {
  return rowKey(vaultPartition(vault), 'serverhealth', applianceId);
}
