/**
 * What an account must be allowed: https://learn.microsoft.com/azure/site-recovery/vmware-azure-tutorial-prepare-on-premises
 * with the ids of the vSphere API.
 */

/** Name of the role that the tutorial has made. */
export const roleName = 'Azure_Site_Recovery';

/** What discovery needs: every role has these, Read-only is enough. */
export const discoveryPrivileges = ['System.Anonymous', 'System.View', 'System.Read'] as const;

/** What the full cycle to Azure and back needs. 'VirtualMachine.Config.*' stands for all of that group the server has. */
export const fullCyclePrivileges = [
  ...discoveryPrivileges,
  'Datastore.AllocateSpace',
  'Datastore.Browse',
  'Datastore.FileManagement',
  'Datastore.DeleteFile',
  'Datastore.UpdateVirtualMachineFiles',
  'Network.Assign',
  'Resource.AssignVMToPool',
  'Resource.ColdMigrate',
  'Resource.HotMigrate',
  'Task.Create',
  'Task.Update',
  'VirtualMachine.Config.*',
  'VirtualMachine.Interact.AnswerQuestion',
  'VirtualMachine.Interact.DeviceConnection',
  'VirtualMachine.Interact.SetCDMedia',
  'VirtualMachine.Interact.SetFloppyMedia',
  'VirtualMachine.Interact.PowerOff',
  'VirtualMachine.Interact.PowerOn',
  'VirtualMachine.Interact.ToolsInstall',
  'VirtualMachine.Inventory.Create',
  'VirtualMachine.Inventory.Register',
  'VirtualMachine.Inventory.Unregister',
  'VirtualMachine.Provisioning.GetVmFiles',
  'VirtualMachine.Provisioning.PutVmFiles',
  'VirtualMachine.State.RemoveSnapshot',
] as const;

/** The full cycle's privileges among those a server has, and those it does not know. */
export function resolvePrivileges(known: readonly string[]): { wanted: string[]; unknown: string[] } {
  const has = new Set(known);
  const wanted = fullCyclePrivileges.flatMap((id) =>
    id.endsWith('*') ? known.filter((other) => other.startsWith(id.slice(0, -1))) : [id],
  );
  return {
    wanted: wanted.filter((id) => has.has(id)).toSorted(),
    unknown: wanted.filter((id) => !has.has(id)),
  };
}

/** Whether a privilege is asked for on objects of a type; the datacenter is asked for all of them. */
export function concerns(privilege: string, type: string): boolean {
  if (type === 'Datacenter' || privilege.startsWith('System.')) return true;
  return privilege.startsWith(groups[type] ?? ' ');
}

const groups: Readonly<Record<string, string>> = {
  VirtualMachine: 'VirtualMachine.',
  Datastore: 'Datastore.',
  Network: 'Network.',
};
