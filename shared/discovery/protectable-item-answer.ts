import { MiB } from '../bytes.ts';
import { type VaultRef } from '../arm/resource-id.ts';
import { type ArmResource, armResource } from '../arm/resource.ts';
import { containerPath } from '../fabric/appliance.ts';
import { providerIdOf } from '../fabric/fabric-answer.ts';
import { type HealthError, healthError } from '../fabric/health-error.ts';
import { type KeptHeartbeat } from '../fabric/heartbeat.ts';
import { type KeptMachine, infrastructureIdOf, unknownBiosUuid } from './machine.ts';
import { seenNow } from './physical-machine.ts';
import { readinessErrors } from './readiness.ts';

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
  const errors = readinessErrors(kept);
  return armResource(vault, [...containerPath(applianceId), ['replicationProtectableItems', kept.itemName]], {
    friendlyName: machine.name,
    protectionStatus: protectionStatusOf(kept),
    replicationProtectedItemId: kept.protectedBy ?? null,
    recoveryServicesProviderId: providerIdOf(vault, applianceId),
    protectionReadinessErrors: errors,
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
      validationErrors: errors.map((message): HealthError => readinessHealthError(message, kept)),
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

function readinessHealthError(message: string, kept: KeptMachine): HealthError {
  return healthError({
    errorCode: 'MachineNotReady',
    errorMessage: message,
    possibleCauses: '',
    recommendedAction: '',
    errorCategory: 'None',
    entityId: kept.itemName,
    atMs: kept.vanishedAtMs ?? 0,
  });
}
