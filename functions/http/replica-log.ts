/** What operators, verifiers and restorers see of an item's replica log: its anchor, its points, its space, what was dropped. */
import { replicaContainerName } from '../../shared/fabric/appliance-token.ts';
import { isoTime } from '../../shared/iso-time.ts';
import {
  type CompactionState,
  type RetentionRun,
  findCompactionState,
  listRetentionRuns,
} from '../../shared/recovery/compaction-store.ts';
import { holdPoint, holdsAt, releasePoint } from '../../shared/recovery/hold-point.ts';
import { findAnchor, listPoints } from '../../shared/recovery/recovery-point-store.ts';
import { type Anchor, type RecoveryPoint } from '../../shared/recovery/recovery-point.ts';
import { itemRef } from '../../shared/protection/item-row.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { HoldBody, HoldId } from '../../shared/wire/own-api.ts';
import { takeOf } from '../edge/filter.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { nextLinkOf, skipTokenOf } from '../edge/next-link.ts';
import { parseInput } from '../edge/read-body.ts';
import { vaultRoute } from '../edge/route.ts';
import { services } from '../services.ts';
import { getNamedItem } from './named-item.ts';

const itemRoute = `${vaultRoute}/secondsite/protectedItems/{name}` as const;
const holdRoute = `${itemRoute}/recoveryPoints/{recoveryPointName}/holds/{holdId}` as const;

httpOperation('getReplicaLog', { method: 'GET', route: `${itemRoute}/replicaLog` }, async (call) => {
  const { table } = services();
  const vault = await requireVault(table, vaultOf(call.params));
  const item = await getNamedItem(vault, call.params.name);
  const { protectedItemId } = item;
  const ref = itemRef(vault, item);
  const nowMs = Date.now();
  const [anchor, state, page] = await Promise.all([
    findAnchor(table, ref),
    findCompactionState(table, ref),
    listPoints(table, ref, { continuation: skipTokenOf(call.query) }),
  ]);
  return {
    status: 200,
    body: {
      protectedItemId,
      containerName: replicaContainerName(protectedItemId),
      anchor: anchor === undefined ? null : anchorAnswer(anchor),
      retention: retentionAnswer(state?.value),
      points: page.rows.map(({ value }) => pointAnswer(value, nowMs)),
      nextLink: nextLinkOf(call.url, page.continuation),
    },
  };
});

httpOperation('listRetentionRuns', { method: 'GET', route: `${itemRoute}/retentionRuns` }, async (call) => {
  const { table } = services();
  const most = takeOf(call.query);
  const vault = await requireVault(table, vaultOf(call.params));
  const { protectedItemId } = await getNamedItem(vault, call.params.name);
  const continuation = skipTokenOf(call.query);
  const page = await listRetentionRuns(table, { vault, protectedItemId }, { most, continuation });
  const value = page.rows.map(({ value }) => runAnswer(value));
  return { status: 200, body: { value, nextLink: nextLinkOf(call.url, page.continuation) } };
});

httpOperation('holdRecoveryPoint', { method: 'PUT', route: holdRoute }, async (call) => {
  const { table } = services();
  const vault = await requireVault(table, vaultOf(call.params));
  const { properties } = await call.json(HoldBody);
  const holdId = parseInput(HoldId, call.params.holdId);
  const { protectedItemId } = await getNamedItem(vault, call.params.name);
  const nowMs = Date.now();
  const point = await holdPoint(table, { vault, protectedItemId }, call.params.recoveryPointName, {
    hold: { holdId, holder: properties.holder, untilMs: nowMs + properties.minutes * 60_000 },
    nowMs,
  });
  return { status: 200, body: pointAnswer(point, nowMs) };
});

httpOperation('releaseRecoveryPoint', { method: 'DELETE', route: holdRoute }, async (call) => {
  const { table } = services();
  const vault = await requireVault(table, vaultOf(call.params));
  const { protectedItemId } = await getNamedItem(vault, call.params.name);
  const { recoveryPointName, holdId } = call.params;
  await releasePoint(table, { vault, protectedItemId }, recoveryPointName, holdId);
  return { status: 204 };
});

function anchorAnswer({ sequence, hash, compaction }: Anchor) {
  return { sequence, hash, compaction: compaction ?? null };
}

function retentionAnswer(state: CompactionState | undefined) {
  const space = state?.space;
  const problem = state?.problem;
  return {
    lastRunTime: isoTime(state?.completedAtMs),
    space:
      space === undefined
        ? null
        : {
            storedBytes: space.storedBytes,
            liveBytes: space.liveBytes,
            deadBytes: space.deadBytes,
            time: isoTime(space.atMs),
          },
    problem:
      problem === undefined
        ? null
        : { blob: problem.blob, detail: problem.detail, since: isoTime(problem.atMs) },
  };
}

function pointAnswer(point: RecoveryPoint, nowMs: number) {
  const { name, sequence, timeMs, consistency, hash, changedBytes, uploadedBytes } = point;
  const holds = holdsAt(point, nowMs).map(({ holdId, holder, untilMs }) => ({
    holdId,
    holder,
    until: isoTime(untilMs),
  }));
  return { name, sequence, time: isoTime(timeMs), consistency, hash, changedBytes, uploadedBytes, holds };
}

function runAnswer(run: RetentionRun) {
  const { atMs, dropped, compaction, writtenBytes, removedBlobs, removedBytes, retainedBlobs } = run;
  return {
    time: isoTime(atMs),
    droppedPoints: dropped.map(({ name, sequence, timeMs, consistency }) => ({
      name,
      sequence,
      time: isoTime(timeMs),
      consistency,
    })),
    compaction: compaction ?? null,
    writtenBytes,
    removedBlobs,
    removedBytes,
    retainedBlobs,
  };
}
