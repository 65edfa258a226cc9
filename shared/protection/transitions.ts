/**
 * What may happen to a protected item, and in which order. Each transition may be repeated: done again, or too late,
 * it gives the same object, and nothing is written. A job touches only what it holds.
 */
import { type CurrentJob, type ProtectedItem } from './protected-item.ts';

/** The agent is there and has said what it is. */
export function agentReady(
  item: ProtectedItem,
  agent: { jobId: string; version: string | undefined },
): ProtectedItem {
  if (item.enableJobId !== agent.jobId || agent.version === undefined) return item;
  return item.agentVersion === agent.version ? item : { ...item, agentVersion: agent.version };
}

/** The agent is of another version now. */
export function agentUpdated(item: ProtectedItem, version: string | undefined): ProtectedItem {
  return version === undefined || item.agentVersion === version ? item : { ...item, agentVersion: version };
}

/** The appliance replicates it from now on. */
export function replicationStarted(item: ProtectedItem, jobId: string): ProtectedItem {
  if (item.enableJobId !== jobId || item.state !== 'EnablingProtection') return item;
  return { ...item, state: 'InitialReplicationInProgress' };
}

/** A job takes hold of the item, unless another has it. */
export function jobTakes(item: ProtectedItem, job: CurrentJob): ProtectedItem {
  if (item.currentJob !== undefined || item.state === 'DisablingProtection') return item;
  return { ...item, currentJob: job };
}

/** A job lets go of the item. */
export function jobLeaves(item: ProtectedItem, jobId: string): ProtectedItem {
  if (item.currentJob?.jobId !== jobId) return item;
  const { currentJob: _, ...rest } = item;
  return rest;
}

/** There is a recovery point, and the job that finalizes protection is done. */
export function nowProtected(item: ProtectedItem, atMs: number): ProtectedItem {
  if (item.state !== 'InitialReplicationInProgress') return item;
  return { ...item, state: 'Protected', protectedAtMs: atMs };
}

/** Its appliance has let go of it: from now on it can only be deleted. Only the job that holds it says so. */
export function disabling(item: ProtectedItem, jobId: string): ProtectedItem {
  if (item.state === 'DisablingProtection' || item.currentJob?.jobId !== jobId) return item;
  return { ...item, state: 'DisablingProtection' };
}

/** Operations that a caller may ask for now, as Site Recovery names them. */
export function allowedOperations(item: ProtectedItem): string[] {
  if (item.currentJob !== undefined || item.state === 'DisablingProtection') return [];
  if (item.state === 'Protected') return ['UnplannedFailover', 'DisableProtection', 'TestFailover'];
  return ['DisableProtection'];
}
