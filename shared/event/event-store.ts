import { type VaultRef, sameName } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { deleteRows } from '../store/delete-rows.ts';
import { type RowKey, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type RowPage, Rows, notFound } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { VaultEvent, eventName, reverseTicks } from './event.ts';

const kind = 'replicationEvents';
/** Rows looked through at most for one page; a page may then be empty and still have a next. */
const pagesAtOnce = 10;

/** The fields of EventQueryParameter. */
export const eventQueryFields = [
  'eventCode',
  'severity',
  'eventType',
  'fabricName',
  'affectedObjectFriendlyName',
  'affectedObjectCorrelationId',
  'startTime',
  'endTime',
] as const;

/** Writes an event. An event is always the same under its id and time, so writing it again changes nothing. */
export async function recordEvent(table: Table, vault: VaultRef, event: VaultEvent): Promise<void> {
  await new Rows(table, VaultEvent).upsert(eventKey(vault, orderOf(event)), event);
}

/** @throws ResourceNotFound */
export async function getEvent(table: Table, vault: VaultRef, name: string): Promise<VaultEvent> {
  const order = /^[a-z]{1,40};(\d{19}_[0-9a-f-]{36})$/iu.exec(name)?.[1];
  const row =
    order === undefined ? undefined : await new Rows(table, VaultEvent).find(eventKey(vault, order));
  if (row === undefined || !sameName(eventName(row.value), name)) {
    throw notFound(`The event '${name.slice(0, 200)}'`);
  }
  return row.value;
}

/**
 * One page of the events that fit a filter, newest first. `filter` has wanted values by field in lower case.
 * @throws InvalidRequest for a time that is none.
 */
export async function findEvents(
  table: Table,
  vault: VaultRef,
  where: { filter: ReadonlyMap<string, string>; continuation?: string | undefined },
): Promise<{ events: VaultEvent[]; continuation?: string }> {
  const { filter } = where;
  const range = rangeOf(vault, filter);
  let { continuation } = where;
  for (let page = 1; ; page += 1) {
    const found: RowPage<VaultEvent> = await new Rows(table, VaultEvent).page(range, { continuation });
    const events = found.rows.map(({ value }) => value).filter((event) => fits(event, filter));
    if (found.continuation === undefined) return { events };
    if (events.length > 0 || page === pagesAtOnce) return { events, continuation: found.continuation };
    ({ continuation } = found);
  }
}

/** Deletes the events before a moment. */
export async function forgetEvents(table: Table, vault: VaultRef, beforeMs: number): Promise<void> {
  // Newest first: what is older comes after.
  const all = rowsBelow(vaultPartition(vault), kind);
  await deleteRows(table, { ...all, from: `${all.from}${reverseTicks(beforeMs)}` });
}

function fits(event: VaultEvent, filter: ReadonlyMap<string, string>): boolean {
  const has: Record<string, string | undefined> = {
    eventcode: event.code,
    severity: event.severity,
    eventtype: event.type,
    affectedobjectfriendlyname: event.affected.name,
    affectedobjectcorrelationid: event.affected.id,
  };
  return [...filter].every(([field, wanted]) => {
    if (field === 'fabricname') {
      return [event.fabric?.name, event.fabric?.serverName].some((one) => sameName(one ?? '', wanted));
    }
    return !(field in has) || sameName(has[field] ?? '', wanted);
  });
}

/** Both ends belong to the span. */
function rangeOf(vault: VaultRef, filter: ReadonlyMap<string, string>) {
  const all = rowsBelow(vaultPartition(vault), kind);
  const fromMs = timeIn('startTime', filter.get('starttime'));
  const toMs = timeIn('endTime', filter.get('endtime'));
  return {
    ...all,
    ...(toMs !== undefined && { from: `${all.from}${reverseTicks(toMs)}` }),
    // The ticks are followed by an underscore, than which the grave accent comes later.
    ...(fromMs !== undefined && { to: `${all.from}${reverseTicks(fromMs)}\`` }),
  };
}

function timeIn(field: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const timeMs = Date.parse(text);
  if (Number.isFinite(timeMs) && timeMs >= 0) return timeMs;
  throw new DomainError({
    code: 'InvalidRequest',
    message: `The ${field} '${text.slice(0, 100)}' is no time after 1970.`,
    target: '$filter',
    recommendedAction: "Send it as ISO 8601 in UTC, for instance '2026-01-31T12:00:00Z'.",
  });
}

function orderOf({ atMs, eventId }: VaultEvent): string {
  return `${reverseTicks(atMs)}_${eventId}`;
}

function eventKey(vault: VaultRef, order: string): RowKey {
  return rowKey(vaultPartition(vault), kind, order);
}
