import { MiB } from '../bytes.ts';
import { type VaultRef } from '../arm/resource-id.ts';
import { type ArmResource, armResource } from '../arm/resource.ts';
import { containerPath } from '../fabric/appliance.ts';
import { providerIdOf } from '../fabric/fabric-answer.ts';
import { type KeptHeartbeat } from '../fabric/heartbeat.ts';
import { type KeptMachine, infrastructureIdOf, unknownBiosUuid } from './machine.ts';
import { seenNow } from './physical-machine.ts';
import { readinessErrors, readinessHealthErrors } from './readiness.ts';

/** A machine as ARM answers it. */
export function protectableItemAnswer(view: {
  vault: VaultRef;
  applianceId: string;
  kept: KeptMachine;
  heartbeat: KeptHeartbeat | undefined;
}): ArmResource<object> {
  const { vault, applianceId, heartbeat } = view;
  const kept = seenNow(view.kept, heartbeat);
  const { machine } = kept;
  const agent = heartbeat?.heartbeat.agents.find(({ biosUuid }) => biosUuid === machine.biosUuid);
  return armResource(vault, [...containerPath(applianceId), ['replicationProtectableItems', kept.itemName]], {
    friendlyName: machine.name,
    protectionStatus: protectionStatusOf(kept),
    replicationProtectedItemId: kept.protectedBy ?? null,
    recoveryServicesProviderId: providerIdOf(vault, applianceId),
    protectionReadinessErrors: readinessErrors(kept),
    supportedReplicationProviders: ['InMage', 'InMageAzureV2'],
    customDetails: {
      instanceType: 'VMwareVirtualMachine',
      agentGeneratedId: agent?.biosUuid ?? null,
      agentInstalled: agent === undefined ? 'NotInstalled' : 'Installed',
      osType: machine.osType,
      agentVersion: agent?.version ?? null,
      ipAddress: machine.ipAddresses[0] ?? '',
      poweredOn: isOn(kept) ? 'On' : 'Off',
      vCenterInfrastructureId: infrastructureIdOf(applianceId, kept.vCenterName),
      discoveryType: kept.isPhysical === true ? 'Physical' : 'vCenter',
      diskDetails: machine.disks.map((disk, at) => ({
        diskId: disk.diskId,
        diskName: disk.label,
        diskSizeInMB: String(Math.floor(disk.capacityBytes / MiB)),
        diskType: at === 0 ? 'OperatingSystem' : 'Data',
        diskConfiguration: 'Basic',
        volumeList: [],
      })),
      validationErrors: readinessHealthErrors(kept),
      secondsite: placeOf(kept),
    },
  });
}

/** A physical machine counts as off until its agent is in touch, as the real service shows it. */
function isOn({ machine, isPhysical }: KeptMachine): boolean {
  if (isPhysical === true && machine.biosUuid === unknownBiosUuid) return false;
  return machine.powerState === 'poweredOn';
}

/** Site Recovery's two words. */
export function protectionStatusOf(kept: KeptMachine): 'Protected' | 'Unprotected' {
  return kept.protectedBy === undefined ? 'Unprotected' : 'Protected';
}

/** What the real service does not tell: where the machine is in its vCenter server. */
function placeOf({ machine, vCenterName }: KeptMachine) {
  const { host, cluster, datacenter, folder, guestFullName, firmware } = machine;
  return {
    vCenterName,
    datacenter: datacenter ?? null,
    cluster: cluster ?? null,
    host: host?.name ?? null,
    folder: folder ?? null,
    guestFullName,
    firmware,
  };
}
