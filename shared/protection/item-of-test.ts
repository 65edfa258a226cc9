import { type KeptMachine } from '../discovery/machine.ts';
import { type EnableRequest, planEnable } from './plan-enable.ts';

/** A machine that can be protected, for tests. */
export const machineOfTest: KeptMachine = {
  itemName: '00000000-0000-5000-8000-0000000000aa',
  vCenterName: 'vc1',
  sharesBiosUuid: false,
  machine: {
    moref: 'vm-1',
    biosUuid: '420f0000-0000-4000-8000-000000000001',
    name: 'web 01 (prod)',
    powerState: 'poweredOn',
    connectionState: 'connected',
    osType: 'LINUX',
    guestId: 'debian12_64Guest',
    guestFullName: 'Debian GNU/Linux 12 (64-bit)',
    firmware: 'efi',
    cpus: 2,
    memoryMB: 4_096,
    toolsState: 'running',
    ipAddresses: ['10.0.0.7'],
    datastores: ['datastore1'],
    disks: ['a', 'b'].map((diskId, at) => ({
      number: at,
      diskId,
      key: 2_000 + at,
      label: `Hard disk ${at + 1}`,
      capacityBytes: 4_096 * (at + 1),
      backingFile: `[datastore1] web/${diskId}.vmdk`,
      backing: 'vmdk',
      shared: false,
      controller: { key: 1_000, label: 'SCSI controller 0', type: 'ParaVirtualSCSIController' },
    })),
    nics: [
      {
        key: 4_000,
        label: 'Network adapter 1',
        mac: '00:50:56:95:14:5e',
        network: 'VM Network',
        connected: true,
        ipAddresses: ['10.0.0.7'],
      },
    ],
  },
};

/** A request to protect it. */
export const requestOfTest: EnableRequest = {
  names: { fabricName: 'f', containerName: 'cloud_1', itemName: 'web01' },
  applianceId: '6d9a4c1e-0f59-4d6c-8e43-3f0f8d1f2a01',
  policyName: 'gold',
  protectable: machineOfTest,
  input: {
    instanceType: 'InMageAzureV2',
    processServerId: undefined,
    runAsAccountId: undefined,
    multiVmGroupId: undefined,
    multiVmGroupName: undefined,
    disksToInclude: undefined,
    storageAccountId: undefined,
    logStorageAccountId: undefined,
    targetAzureNetworkId: undefined,
    targetAzureSubnetId: undefined,
    enableRdpOnTargetOption: undefined,
    targetAzureVmName: undefined,
    targetAzureV1ResourceGroupId: undefined,
    targetAzureV2ResourceGroupId: undefined,
    diskType: undefined,
    licenseType: undefined,
    targetVmSize: undefined,
    targetAvailabilityZone: undefined,
  },
};

/** The item it asks for. */
export const itemOfTest = planEnable(requestOfTest, {
  protectedItemId: '3b0e0c4e-6e2f-4f5a-9c55-8d1f60a2a001',
  jobId: '01890000-0000-7000-8000-000000000001',
  atMs: 1,
});
