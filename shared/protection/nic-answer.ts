/** vmNics: how a machine's network cards come up. */
import { sameName } from '../arm/resource-id.ts';
import { type ItemNic, type ProtectedItem } from './protected-item.ts';

/** All cards; the first, or the one chosen as such, is the primary one. */
export function nicAnswers({ target, machine }: Pick<ProtectedItem, 'target' | 'machine'>) {
  const primary = target.primaryNicId ?? machine.nics[0]?.mac ?? '';
  return machine.nics.map((nic) => {
    const own = target.nics?.find(({ nicId }) => sameName(nicId, nic.mac));
    const isPrimary = sameName(nic.mac, primary);
    return nicAnswer({ nic, own, target, isPrimary });
  });
}

type NicView = {
  nic: ProtectedItem['machine']['nics'][number];
  own: ItemNic | undefined;
  target: ProtectedItem['target'];
  isPrimary: boolean;
};

function nicAnswer(view: NicView) {
  const { nic, own, target, isPrimary } = view;
  const isSelected = own?.isSelected ?? isPrimary;
  return {
    nicId: nic.mac,
    replicaNicId: null,
    sourceNicArmId: null,
    vMNetworkName: nic.network,
    recoveryVMNetworkId: target.networkId ?? null,
    ipConfigs: [ipConfigAnswer(view, isSelected)],
    selectionType: isSelected ? 'SelectedByUser' : 'NotSelected',
    ...recoveryAnswer(own),
    ...testAnswer(own, target),
  };
}

function recoveryAnswer(own: ItemNic | undefined) {
  return {
    recoveryNetworkSecurityGroupId: own?.recoveryNetworkSecurityGroupId ?? null,
    enableAcceleratedNetworkingOnRecovery: own?.acceleratedOnRecovery ?? null,
    recoveryNicName: own?.recoveryNicName ?? null,
    recoveryNicResourceGroupName: null,
    reuseExistingNic: false,
  };
}

function testAnswer(own: ItemNic | undefined, target: ProtectedItem['target']) {
  return {
    tfoVMNetworkId: target.tfoNetworkId ?? null,
    tfoNetworkSecurityGroupId: own?.tfoNetworkSecurityGroupId ?? null,
    enableAcceleratedNetworkingOnTfo: own?.acceleratedOnTfo ?? null,
    tfoRecoveryNicName: own?.tfoNicName ?? null,
    tfoRecoveryNicResourceGroupName: null,
    tfoReuseExistingNic: false,
  };
}

function ipConfigAnswer({ nic, own, target, isPrimary }: NicView, isSelected: boolean) {
  const recoveryStaticIPAddress = own?.recoveryStaticIPAddress ?? null;
  return {
    name: null,
    isPrimary,
    subnetName: null,
    staticIPAddress: nic.ipAddress === '' ? null : nic.ipAddress,
    ipAddressType: 'Dynamic',
    // The real service's own spelling.
    isSeletedForFailover: isSelected,
    recoverySubnetName: own?.recoverySubnetName ?? target.subnetName ?? null,
    recoveryStaticIPAddress,
    recoveryIPAddressType: recoveryStaticIPAddress === null ? 'Dynamic' : 'Static',
    recoveryPublicIPAddressId: null,
    recoveryLBBackendAddressPoolIds: null,
    tfoSubnetName: own?.tfoSubnetName ?? null,
    tfoStaticIPAddress: own?.tfoStaticIPAddress ?? null,
    tfoPublicIPAddressId: null,
    tfoLBBackendAddressPoolIds: null,
  };
}
