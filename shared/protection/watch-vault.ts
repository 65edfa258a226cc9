/** The RPO watch of one vault: looks at every item and server, and tells of what has changed since the last look. */
import { type VaultRef } from '../arm/resource-id.ts';
import { type EventSubject, listHealth, nextHealth, watchHealth } from '../event/health-watch.ts';
import { errorsOf } from '../fabric/appliance-health.ts';
import { findWatch } from '../fabric/appliance-watch.ts';
import { type Appliance, fabricNameOf, listAppliances } from '../fabric/appliance.ts';
import { type HealthError, healthError } from '../fabric/health-error.ts';
import { type KeptHeartbeat, findHeartbeat } from '../fabric/heartbeat.ts';
import { listProgress } from '../fabric/progress.ts';
import { listPolicies } from '../policy/policy-store.ts';
import { listAnchors } from '../recovery/recovery-point-store.ts';
import { type Table } from '../store/table.ts';
import { lookAtItem } from './item-watch.ts';
import { listItems } from './protected-item-store.ts';
import { type ProtectedItem } from './protected-item.ts';

/** Reads a few ranges, however many items there are, and writes only what has changed. */
export async function watchVault(table: Table, vault: VaultRef, nowMs: number): Promise<void> {
  const appliances = await listAppliances(table, vault);
  for (const appliance of appliances) await watchServer(table, vault, { appliance, nowMs });
  await watchItems(table, vault, { appliances, nowMs });
}

async function watchItems(
  table: Table,
  vault: VaultRef,
  { appliances, nowMs }: { appliances: readonly Appliance[]; nowMs: number },
): Promise<void> {
  const [policies, anchors, known, progress] = await Promise.all([
    listPolicies(table, vault),
    listAnchors(table, vault),
    listHealth(table, vault, 'itemhealth'),
    Promise.all(appliances.map(({ applianceId }) => listProgress(table, { vault, applianceId }))),
  ]);
  const thresholds = new Map(
    policies.map(({ name, recoveryPointThresholdInMinutes: minutes }) => [name.toLowerCase(), minutes]),
  );
  const progressOf = new Map(progress.flatMap((of) => [...of]));
  const serverNames = new Map(appliances.map(({ applianceId, machine }) => [applianceId, machine.hostName]));
  let continuation: string | undefined;
  do {
    const page = await listItems(table, vault, { continuation });
    for (const { value: item } of page.rows) {
      const { protectedItemId } = item;
      const facts = {
        progress: progressOf.get(protectedItemId),
        anchor: anchors.get(protectedItemId),
        thresholdMinutes: thresholds.get(item.policyName.toLowerCase()),
        nowMs,
      };
      const subject = subjectOf(item, serverNames.get(item.applianceId));
      const look = (kept: Parameters<typeof lookAtItem>[2]) => lookAtItem(item, facts, kept);
      const kept = known.get(protectedItemId);
      const isStill =
        kept?.pending === undefined && nextHealth(kept, look(kept), { subject, nowMs }) === undefined;
      if (isStill) continue;
      await watchHealth(table, { vault, kind: 'itemhealth', id: protectedItemId }, { subject, nowMs, look });
    }
    ({ continuation } = page);
  } while (continuation !== undefined);
}

function subjectOf(item: ProtectedItem, serverName: string | undefined): EventSubject {
  return {
    what: 'Replication',
    code: 'SRSVMHealthChanged',
    type: 'VmHealth',
    affected: { id: item.protectedItemId, name: item.machine.name },
    fabric: { name: item.fabricName, serverName: serverName ?? item.applianceId },
  };
}

async function watchServer(
  table: Table,
  vault: VaultRef,
  { appliance, nowMs }: { appliance: Appliance; nowMs: number },
): Promise<void> {
  const { applianceId, machine } = appliance;
  const ref = { vault, applianceId };
  const [heartbeat, watch] = await Promise.all([findHeartbeat(table, ref), findWatch(table, ref)]);
  const facts = { appliance, heartbeat, nowMs };
  const errors = [...errorsOf(facts, watch?.sinceMs ?? {}, 'processServer'), ...vCenterErrors(heartbeat)];
  const subject: EventSubject = {
    what: 'Configuration server',
    code: 'ServerHealthChanged',
    type: 'ServerHealth',
    affected: { id: applianceId, name: machine.hostName },
    fabric: { name: fabricNameOf(applianceId), serverName: machine.hostName },
  };
  await watchHealth(
    table,
    { vault, kind: 'serverhealth', id: applianceId },
    { subject, nowMs, look: () => ({ errors }) },
  );
}

/** vCenter servers that the appliance can not list. */
function vCenterErrors(heartbeat: KeptHeartbeat | undefined): HealthError[] {
  return (heartbeat?.heartbeat.vCenters ?? []).flatMap(({ vCenterName, fault }) =>
    fault === undefined
      ? []
      : [
          healthError({
            errorCode: `VCenter${fault.code}`,
            errorCategory: 'FabricInfrastructure',
            errorMessage: `The vCenter server '${vCenterName}' can not be listed: ${fault.message}`,
            possibleCauses: fault.possibleCauses ?? '',
            recommendedAction: fault.recommendedAction ?? '',
            entityId: vCenterName,
            atMs: heartbeat?.receivedAtMs ?? 0,
          }),
        ],
  );
}
