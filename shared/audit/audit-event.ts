/**
 * Who wrote what, when, and what came of it: one row for every request that may change something. The rows have a
 * partition of their own, so that deleting a vault does not delete what was done to it.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type VaultRef, vaultIdOf } from '../arm/resource-id.ts';
import { deleteRows } from '../store/delete-rows.ts';
import { type RowRange, keyPart, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type RowPage, Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';

const maxMs = 2 ** 48 - 1;
const kind = 'audit';

export const AuditEvent = z.object({
  eventId: z.uuid(),
  atMs: z.number(),
  /** Empty for a configuration server that registers: its key is its name. */
  callerObjectId: z.string(),
  callerTenantId: z.string(),
  callerName: z.string(),
  /** The ARM action. */
  action: z.string(),
  method: z.string(),
  /** The path of the request: the resource, or the operation on it. */
  path: z.string(),
  /** HTTP status of the answer. A 202 is an operation that was begun; its job tells the end. */
  status: z.number(),
  /** ARM's code where it was refused or failed. */
  errorCode: z.string().optional(),
  correlationId: z.string(),
});
export type AuditEvent = z.infer<typeof AuditEvent>;

/** Writes the row of a request that has been answered. */
export async function recordAuditEvent(
  table: Table,
  vault: VaultRef,
  event: Omit<AuditEvent, 'eventId'>,
): Promise<void> {
  const eventId = randomUUID();
  const key = rowKey(auditPartition(vault), kind, `${orderAt(event.atMs)}-${eventId}`);
  await new Rows(table, AuditEvent).insert(key, { ...event, eventId });
}

/** One page of a vault's audit events, newest first. */
export function listAuditEvents(
  table: Table,
  vault: VaultRef,
  page: { most: number; continuation: string | undefined },
): Promise<RowPage<AuditEvent>> {
  return new Rows(table, AuditEvent).page(auditRange(vault), page);
}

/** Deletes what is older; answers whether anything is left. */
export async function forgetAuditEvents(table: Table, vault: VaultRef, beforeMs: number): Promise<boolean> {
  const range = auditRange(vault);
  // Newest first: what is older comes after.
  const from = rowKey(auditPartition(vault), kind, orderAt(beforeMs)).row;
  await deleteRows(table, { ...range, from });
  return (await table.page(range, { most: 1 })).entities.length > 0;
}

export function auditEventAnswer(vault: VaultRef, event: AuditEvent) {
  return {
    id: `${vaultIdOf(vault)}/secondsite/auditEvents/${event.eventId}`,
    name: event.eventId,
    type: 'Microsoft.RecoveryServices/vaults/secondsite/auditEvents',
    properties: {
      time: new Date(event.atMs).toISOString(),
      caller: { objectId: event.callerObjectId, tenantId: event.callerTenantId, name: event.callerName },
      action: event.action,
      method: event.method,
      path: event.path,
      status: event.status,
      outcome: outcomeOf(event.status),
      errorCode: event.errorCode ?? null,
      correlationId: event.correlationId,
    },
  };
}

function outcomeOf(status: number): 'Accepted' | 'Succeeded' | 'Refused' | 'Failed' {
  if (status === 202) return 'Accepted';
  if (status < 400) return 'Succeeded';
  return status < 500 ? 'Refused' : 'Failed';
}

function auditPartition(vault: VaultRef): string {
  return [vaultPartition(vault), keyPart(kind)].join('!');
}

function auditRange(vault: VaultRef): RowRange {
  const partition = auditPartition(vault);
  const { from, to } = rowsBelow(partition, kind);
  return { partition, from, to };
}

function orderAt(atMs: number): string {
  return (maxMs - atMs).toString(16).padStart(12, '0');
}
