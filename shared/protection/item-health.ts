import { type HealthError, healthError } from '../fabric/health-error.ts';
import { type KeptProgress } from '../fabric/progress.ts';
import { type Anchor } from '../recovery/recovery-point.ts';
import { type KeptHealth } from '../event/health-watch.ts';
import { type ProtectedItem } from './protected-item.ts';

/** What an item's health follows from. */
export interface HealthFacts {
  progress: KeptProgress | undefined;
  anchor: Anchor | undefined;
  /** What the RPO watch remembers. */
  health?: KeptHealth | undefined;
}

/** What is wrong with an item's replication; empty when all is well. */
export function replicationErrors(item: ProtectedItem, facts: HealthFacts): HealthError[] {
  const errors: HealthError[] = [];
  const entityId = item.machine.protectableItemName;
  const kept = facts.progress;
  if (kept?.progress.fault !== undefined) {
    const { fault } = kept.progress;
    errors.push(
      healthError({
        errorCode: `Replication${fault.code}`,
        errorMessage: fault.message,
        possibleCauses: fault.possibleCauses ?? '',
        recommendedAction: fault.recommendedAction ?? '',
        errorCategory: 'Replication',
        entityId,
        atMs: kept.sentAtMs,
      }),
    );
  }
  if (kept !== undefined) errors.push(...resyncErrors(item, kept));
  const defect = facts.anchor?.defect;
  if (defect !== undefined) {
    errors.push(
      healthError({
        errorCode: 'ReplicaDamaged',
        errorMessage: `The replica log can not be followed past '${defect.blob}': ${defect.detail}.`,
        possibleCauses: 'The blob was altered, or written by something else than the appliance.',
        recommendedAction:
          'The recovery points before it stay good. Disable replication and enable it again.',
        errorCategory: 'Replication',
        entityId,
        atMs: defect.atMs,
      }),
    );
  }
  return errors;
}

/** What is to be sent again, and why. Both go by themselves when it is done. */
function resyncErrors(item: ProtectedItem, { progress, sentAtMs }: KeptProgress): HealthError[] {
  const errors: HealthError[] = [];
  const common = { errorCategory: 'Replication', entityId: item.machine.protectableItemName };
  const { damage, resync } = progress;
  if (damage !== undefined) {
    errors.push(
      healthError({
        ...common,
        errorCode: 'SpoolDamaged',
        errorMessage: `The cache disk of the process server lost ${damage.lostBytes} bytes that '${item.machine.name}' had sent. They are sent again; until then there is no new recovery point.`,
        possibleCauses: 'The cache disk is failing, or something else changed the files on it.',
        recommendedAction:
          'Check the health of the cache disk of the process server. The recovery points that are there stay good.',
        atMs: damage.sinceMs,
      }),
    );
  }
  if (isResyncing(progress)) {
    errors.push(
      healthError({
        ...common,
        errorLevel: 'Warning',
        errorCode: 'ResynchronizationInProgress',
        errorMessage: `The disks of '${item.machine.name}' are compared with their replica, and what differs is sent.`,
        possibleCauses: 'A resynchronization was asked for, or the replica and the mobility agent disagreed.',
        recommendedAction: 'Nothing has to be done. The next recovery point is made when it has ended.',
        atMs: resync === undefined ? sentAtMs : resync.sinceMs,
      }),
    );
  }
  return errors;
}

/** Whether a resynchronization runs or waits for the agent. */
export function isResyncing({ phase, resync }: KeptProgress['progress']): boolean {
  return phase === 'Resync' || (resync !== undefined && resync.asked > resync.done);
}

/** The real service's warning 161011, in its words: nobody has tried yet whether the machine comes up. */
export function neverTested(item: ProtectedItem): HealthError[] {
  if (item.state !== 'Protected' || item.protectedAtMs === undefined) return [];
  return [
    healthError({
      errorSource: 'ReplicationUnitFailoverValidatorError',
      errorLevel: 'Warning',
      errorCategory: 'TestFailover',
      errorCode: '161011',
      errorMessage: `No successful test failover has been done on the virtual machine '${item.machine.name}'.`,
      possibleCauses:
        'No successful test failover has been done on the virtual machine after it was replicated.',
      recommendedAction: 'Do a test failover on the virtual machine.',
      entityId: item.machine.protectableItemName,
      atMs: item.protectedAtMs,
    }),
  ];
}
