import { type InvocationContext } from '@azure/functions';
import { recordAuditEvent } from '../../shared/audit/audit-event.ts';
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { VaultStore } from '../../shared/vault/vault.ts';
import { services } from '../services.ts';
import { type Caller } from './authenticate.ts';

/** A request that has been answered. */
export type Answered = {
  method: string;
  action: string;
  url: string;
  caller: Caller;
  status: number;
  errorCode: string | undefined;
  correlationId: string;
  /** Of a vault, when the request is about one. */
  vault: VaultRef | undefined;
};

const reading = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Whether requests of this method change nothing, and so leave no audit row. */
export function isReading(method: string): boolean {
  return reading.has(method);
}

/**
 * Writes the audit row of a request that may have changed something. It comes after the fact: a row that can not be
 * written does not undo what was done, and the log then has it.
 */
export async function auditRequest(answered: Answered, context: InvocationContext): Promise<void> {
  const { vault } = answered;
  if (vault === undefined || isReading(answered.method)) return;
  // A stranger without a token leaves a row only by what he was let do: rows cost.
  if (answered.caller.objectId === '' && answered.status >= 400) return;
  const event = {
    atMs: Date.now(),
    callerObjectId: answered.caller.objectId,
    callerTenantId: answered.caller.tenantId,
    callerName: answered.caller.name,
    action: answered.action,
    method: answered.method,
    path: decodePath(answered.url),
    status: answered.status,
    ...(answered.errorCode !== undefined && { errorCode: answered.errorCode }),
    correlationId: answered.correlationId,
  };
  try {
    const { table } = services();
    // Nothing is remembered of what was tried on vaults that are not there.
    if (answered.status >= 400 && (await new VaultStore(table).find(vault)) === undefined) return;
    await recordAuditEvent(table, vault, event);
  } catch (error) {
    context.error('The audit row of a request could not be written.', {
      ...event,
      cause: error instanceof Error ? error.message : typeof error,
    });
  }
}

function decodePath(url: string): string {
  const { pathname } = new URL(url);
  try {
    return decodeURIComponent(pathname).slice(0, 2_000);
  } catch {
    return pathname.slice(0, 2_000);
  }
}
