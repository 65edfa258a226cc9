/** What the RPO watch looks at in an item, and what of it is wrong. */
import { type KeptHealth, type Look } from '../event/health-watch.ts';
import { type HealthError, healthError } from '../fabric/health-error.ts';
import { type HealthFacts, replicationErrors } from './item-health.ts';
import { type ProtectedItem } from './protected-item.ts';

/** Code of a recovery point objective that is not met. */
export const rpoCode = 'RpoThresholdExceeded';
/** The real service's code. */
export const standstillCode = '90078';
const standstillMs = 60 * 60_000;
/** The real service's code of three consistency tags that failed one after another. */
export const tagsCode = '90074';
const tagsMissed = 3;

/** What the watch looks at. */
type WatchFacts = HealthFacts & {
  thresholdMinutes: number | undefined;
  /** How often the policy wants a point that is consistent for applications; 0: never. */
  appConsistentMinutes?: number | undefined;
  nowMs: number;
};

/** What a look at an item finds. An item that is being enabled or disabled is nobody's concern yet, or any more. */
export function lookAtItem(
  item: ProtectedItem,
  facts: WatchFacts,
  kept: KeptHealth | undefined,
): Look | undefined {
  const isLeaving = item.state === 'DisablingProtection' || item.currentJob?.scenario === 'DisableDr';
  if (item.state === 'EnablingProtection' || isLeaving) return undefined;
  const moved = movedOf(facts, kept);
  return {
    moved,
    errors: [
      ...replicationErrors(item, { ...facts, health: undefined }),
      ...rpoErrors(item, facts),
      ...tagErrors(item, facts),
      ...(facts.nowMs - moved.atMs > standstillMs ? [standstill(item, moved.atMs)] : []),
    ],
  };
}

/** Application-consistent points that the policy wants, while points of the other kind are made. */
function tagErrors(
  item: ProtectedItem,
  { anchor, appConsistentMinutes = 0, nowMs }: WatchFacts,
): HealthError[] {
  if (appConsistentMinutes === 0 || item.protectedAtMs === undefined) return [];
  const lastMs = anchor?.newestAppConsistentAtMs ?? item.protectedAtMs;
  const dueMs = lastMs + tagsMissed * appConsistentMinutes * 60_000;
  // Without newer points of any kind replication stands, and that is what is told.
  const isReplicating = (anchor?.newest?.timeMs ?? 0) >= dueMs;
  return nowMs > dueMs && isReplicating ? [tagsFailed(item, dueMs)] : [];
}

function rpoErrors(item: ProtectedItem, facts: WatchFacts): HealthError[] {
  const newestAtMs = facts.anchor?.newest?.timeMs;
  const { thresholdMinutes, nowMs } = facts;
  if (newestAtMs === undefined || thresholdMinutes === undefined) return [];
  return nowMs - newestAtMs > thresholdMinutes * 60_000
    ? [rpoError(item, newestAtMs + thresholdMinutes * 60_000)]
    : [];
}

/** The errors that only the watch can tell, as it remembers them; for answers about the item. */
export function watchedErrors(item: ProtectedItem, kept: KeptHealth | undefined): HealthError[] {
  const rpoSinceMs = kept?.sinceMs[rpoCode];
  const standsSinceMs = kept?.sinceMs[standstillCode];
  const tagsSinceMs = kept?.sinceMs[tagsCode];
  return [
    ...(rpoSinceMs === undefined ? [] : [rpoError(item, rpoSinceMs)]),
    ...(standsSinceMs === undefined ? [] : [standstill(item, standsSinceMs)]),
    ...(tagsSinceMs === undefined ? [] : [tagsFailed(item, tagsSinceMs)]),
  ];
}

function rpoError(item: ProtectedItem, atMs: number): HealthError {
  return healthError({
    errorCode: rpoCode,
    errorCategory: 'Replication',
    errorMessage: `The newest recovery point of '${item.machine.name}' is older than the RPO threshold of its policy '${item.policyName}'.`,
    possibleCauses:
      'The mobility agent, the process server or the link to Azure is down or slower than the machine writes.',
    recommendedAction:
      'Check that the mobility agent and the configuration server are in touch, and the upload backlog of the process server.',
    entityId: item.machine.protectableItemName,
    atMs,
  });
}

function tagsFailed(item: ProtectedItem, atMs: number): HealthError {
  return healthError({
    errorLevel: 'Warning',
    errorCode: tagsCode,
    errorCategory: 'Replication',
    errorMessage: `The last three application-consistent recovery points of '${item.machine.name}' that its policy '${item.policyName}' wants were not made. Crash-consistent ones are.`,
    possibleCauses:
      'A script around the freeze failed, the file systems could not be frozen in time, or the disks are image files.',
    recommendedAction:
      "Look at the mobility agent's output for why its points are crash-consistent, or set the policy's appConsistentFrequencyInMinutes to 0.",
    entityId: item.machine.protectableItemName,
    atMs,
  });
}

function standstill(item: ProtectedItem, atMs: number): HealthError {
  return healthError({
    errorCode: standstillCode,
    errorCategory: 'Replication',
    errorMessage: `Replication for ${item.machine.name} hasn't progressed in the last 60 minutes.`,
    possibleCauses:
      'The mobility agent is stopped, or can not reach the process server; or the machine is off.',
    recommendedAction: 'Start the machine and its mobility agent, and check port 9443 of the process server.',
    entityId: item.machine.protectableItemName,
    atMs,
  });
}

/** Bytes handled and points made: as long as either changes, replication moves. */
function movedOf({ progress, anchor, nowMs }: HealthFacts & { nowMs: number }, kept: KeptHealth | undefined) {
  const told = progress?.progress;
  const processed = told?.disks.reduce((sum, { processedBytes }) => sum + processedBytes, 0) ?? 0;
  const mark = `${told?.cycle ?? 0}/${processed}/${anchor?.sequence ?? 0}`;
  return kept?.moved?.mark === mark ? kept.moved : { mark, atMs: nowMs };
}
