import { z } from 'zod';
import { type ChildPath, type VaultRef } from '../arm/resource-id.ts';
import { type ArmResource, armResource } from '../arm/resource.ts';
import { type KeptDiscovery } from '../discovery/apply-discovery.ts';
import { infrastructureIdOf } from '../discovery/machine.ts';
import { type RowKey, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { type Heartbeat } from '../wire/check-in.ts';
import { type Appliance, fabricNameOf, fabricPath } from './appliance.ts';
import { isSilent } from './appliance-health.ts';
import { type HealthError, healthError } from './health-error.ts';
import { type KeptHeartbeat } from './heartbeat.ts';

/** A vCenter server or ESXi host that an appliance discovers. The password of its account stays at the appliance. */
export const VCenter = z.object({
  name: z.string(),
  friendlyName: z.string(),
  address: z.string(),
  port: z.number(),
  accountId: z.string(),
  addedAtMs: z.number(),
});
export type VCenter = z.infer<typeof VCenter>;

const kind = 'replicationvCenters';

const Port = z
  .string()
  .regex(/^\d{1,5}$/u, 'must be a port number in a string')
  .transform(Number)
  .pipe(z.number().min(1).max(65_535));

/** Body of a vCenter's PUT. */
export const VCenterRequest = z.object({
  properties: z.object({
    friendlyName: z.string().min(1).max(200).optional(),
    ipAddress: z.string().regex(/^[A-Za-z0-9.:_-]{1,255}$/u, 'must be a host name or an IP address'),
    processServerId: z.string().max(100).optional(),
    port: Port.default(443),
    runAsAccountId: z.string().min(1).max(64),
  }),
});

/** Body of a vCenter's PATCH: what is absent stays. */
export const VCenterPatch = z.object({
  properties: VCenterRequest.shape.properties.extend({ port: Port.optional() }).partial(),
});

export async function putVCenter(
  table: Table,
  vault: VaultRef,
  added: { fabricName: string; vCenter: VCenter },
) {
  await new Rows(table, VCenter).upsert(
    vCenterKey(vault, added.fabricName, added.vCenter.name),
    added.vCenter,
  );
}

export async function findVCenter(
  table: Table,
  vault: VaultRef,
  names: { fabricName: string; vCenterName: string },
): Promise<VCenter | undefined> {
  return (await new Rows(table, VCenter).find(vCenterKey(vault, names.fabricName, names.vCenterName)))?.value;
}

/** @throws ResourceNotFound */
export async function getVCenter(
  table: Table,
  vault: VaultRef,
  names: { fabricName: string; vCenterName: string },
): Promise<VCenter> {
  const key = vCenterKey(vault, names.fabricName, names.vCenterName);
  return (await new Rows(table, VCenter).get(key, `The vCenter server '${names.vCenterName}'`)).value;
}

/** Forgets a vCenter; one that is not there is as good as forgotten. */
export async function deleteVCenter(
  table: Table,
  vault: VaultRef,
  names: { fabricName: string; vCenterName: string },
): Promise<void> {
  await new Rows(table, VCenter).delete(vCenterKey(vault, names.fabricName, names.vCenterName));
}

/** The vCenters of a fabric; an appliance has at most 100. */
export async function listVCenters(table: Table, vault: VaultRef, fabricName: string): Promise<VCenter[]> {
  const rows = await new Rows(table, VCenter).all(rowsBelow(vaultPartition(vault), kind, fabricName));
  return rows.map(({ value }) => value);
}

export function vCenterPath(applianceId: string, name: string): ChildPath {
  return [...fabricPath(applianceId), [kind, name]];
}

/** A vCenter as ARM answers it. */
export function vCenterAnswer(view: {
  vault: VaultRef;
  appliance: Appliance;
  vCenter: VCenter;
  heartbeat: KeptHeartbeat | undefined;
  discovery: KeptDiscovery | undefined;
  nowMs: number;
}): ArmResource<object> {
  const { vault, appliance, vCenter, discovery } = view;
  const status = view.heartbeat?.heartbeat.vCenters.find(
    ({ vCenterName }) => vCenterName.toLowerCase() === vCenter.name.toLowerCase(),
  );
  const lastMs = status?.lastSuccessMs ?? discovery?.discoveredAtMs ?? vCenter.addedAtMs;
  const infrastructureId = infrastructureIdOf(appliance.applianceId, vCenter.name);
  const healthErrors = vCenterErrors(view, { status, lastMs, infrastructureId });
  return armResource(vault, vCenterPath(appliance.applianceId, vCenter.name), {
    friendlyName: vCenter.friendlyName,
    internalId: infrastructureId,
    lastHeartbeat: new Date(lastMs).toISOString(),
    discoveryStatus: status?.fault === undefined ? 'Succeeded' : 'Failed',
    processServerId: appliance.applianceId,
    ipAddress: vCenter.address,
    infrastructureId,
    port: String(vCenter.port),
    runAsAccountId: vCenter.accountId,
    fabricArmResourceName: fabricNameOf(appliance.applianceId),
    healthErrors,
  });
}

/** What is wrong with a vCenter: its own fault, or its silence. That of its server is told by the server. */
function vCenterErrors(
  view: { vCenter: VCenter; appliance: Appliance; heartbeat: KeptHeartbeat | undefined; nowMs: number },
  known: {
    status: Heartbeat['vCenters'][number] | undefined;
    lastMs: number;
    infrastructureId: string;
  },
): HealthError[] {
  const { status, lastMs, infrastructureId } = known;
  if (status?.fault !== undefined) return [discoveryError(status.fault, view.heartbeat, infrastructureId)];
  if (isSilent(view) || view.nowMs - lastMs <= vCenterSilentAfterMs) return [];
  return [
    healthError({
      errorCode: 'VCenterSilent',
      errorLevel: 'Warning',
      errorMessage: `'${view.vCenter.friendlyName}' was last discovered at ${new Date(lastMs).toISOString()}; it should be every 15 minutes.`,
      possibleCauses: 'The configuration server has restarted, or discovery of another vCenter takes long.',
      recommendedAction: 'Refresh the server; where that does not help, look at its log.',
      errorCategory: 'FabricInfrastructure',
      entityId: infrastructureId,
      atMs: lastMs + vCenterSilentAfterMs,
    }),
  ];
}

/** Four discoveries were missed. */
const vCenterSilentAfterMs = 60 * 60_000;

function discoveryError(
  fault: { message: string; possibleCauses?: string | undefined; recommendedAction?: string | undefined },
  heartbeat: KeptHeartbeat | undefined,
  entityId: string,
): HealthError {
  return healthError({
    errorCode: 'VCenterDiscoveryFailed',
    errorMessage: fault.message,
    possibleCauses: fault.possibleCauses ?? '',
    recommendedAction:
      fault.recommendedAction ?? 'Check the address, the account and the network, then refresh the server.',
    errorCategory: 'FabricInfrastructure',
    entityId,
    atMs: heartbeat?.receivedAtMs ?? 0,
  });
}

function vCenterKey(vault: VaultRef, fabricName: string, name: string): RowKey {
  return rowKey(vaultPartition(vault), kind, fabricName, name);
}
