/** The RPO watch of one vault: looks at every item and server, and tells of what has changed since the last look. */
import { type VaultRef } from '../arm/resource-id.ts';
import {
  type EventSubject,
  type Watched,
  nextHealth,
  watchHealth,
  watchedServer,
} from '../event/health-watch.ts';
import { errorsOf } from '../fabric/appliance-health.ts';
import { findWatch } from '../fabric/appliance-watch.ts';
import { type Appliance, fabricNameOf, listAppliances } from '../fabric/appliance.ts';
import { type HealthError, healthError } from '../fabric/health-error.ts';
import { type KeptHeartbeat, findHeartbeat } from '../fabric/heartbeat.ts';
import { listPolicies } from '../policy/policy-store.ts';
import { type Table } from '../store/table.ts';
import { lookAtItem } from './item-watch.ts';
import { changeItemPart, itemRef, listItemRows } from './item-row.ts';
import { type ProtectedItem } from './protected-item.ts';

/** Reads one range of items, however many there are, and writes only what has changed. */
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
  const policies = await listPolicies(table, vault);
  const policyOf = new Map(policies.map((policy) => [policy.name.toLowerCase(), policy]));
  const serverNames = new Map(appliances.map(({ applianceId, machine }) => [applianceId, machine.hostName]));
  let continuation: string | undefined;
  do {
    const page = await listItemRows(table, vault, { continuation });
    for (const { item, progress, anchor, health } of page.rows) {
      const policy = policyOf.get(item.policyName.toLowerCase());
      const facts = {
        progress,
        anchor,
        thresholdMinutes: policy?.recoveryPointThresholdInMinutes,
        appConsistentMinutes: policy?.appConsistentFrequencyInMinutes,
        nowMs,
      };
      const subject = subjectOf(item, serverNames.get(item.applianceId));
      const look = (kept: Parameters<typeof lookAtItem>[2]) => lookAtItem(item, facts, kept);
      const isStill =
        health?.pending === undefined && nextHealth(health, look(health), { subject, nowMs }) === undefined;
      if (isStill) continue;
      const ref = itemRef(vault, item);
      const update: Watched['update'] = (change) => changeItemPart(table, ref, 'health', change);
      await watchHealth(table, { vault, update }, { subject, nowMs, look });
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
  const watched = watchedServer(table, vault, applianceId);
  await watchHealth(table, watched, { subject, nowMs, look: () => ({ errors }) });
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
