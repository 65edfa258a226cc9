/** What changes a protected item's replication while it goes on: its disks, and a resynchronization. */
import { type z } from 'zod';
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { getMachineNow } from '../../shared/discovery/physical-machine.ts';
import { type ScenarioName } from '../../shared/job/scenario.ts';
import { affectedObjects } from '../../shared/protection/affected-objects.ts';
import { findRunningHolder, itemBusy } from '../../shared/protection/hold-item.ts';
import { findItemRow } from '../../shared/protection/item-row.ts';
import {
  disksToAdd,
  disksToRemove,
  planAddDisks,
  planRemoveDisks,
  requireProtected,
} from '../../shared/protection/plan-disks.ts';
import { getItem, itemNotFound } from '../../shared/protection/protected-item-store.ts';
import { type ProtectedItem, itemPath } from '../../shared/protection/protected-item.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { AddDisksBody, RemoveDisksBody } from '../../shared/wire/arm-protected-item.ts';
import { type DiskChange } from '../activities/change-disks.ts';
import { handleOf } from '../activities/protected-item.ts';
import { type Call, httpOperation, vaultOf } from '../edge/http-edge.ts';
import { startJob } from '../edge/start-job.ts';
import { type ChangeDisksInput, changeDisks } from '../orchestrations/change-disks.ts';
import { type RepairReplicationInput, repairVmReplication } from '../orchestrations/repair-replication.ts';
import { services } from '../services.ts';
import { itemAnswer } from './item-answer.ts';
import { itemRoute } from './protected-items.ts';

httpOperation(
  'addProtectedItemDisks',
  { method: 'POST', route: `${itemRoute}/addDisks`, durable: true },
  async (call) => {
    const { table } = services();
    const vault = await requireVault(table, vaultOf(call.params));
    const { properties } = await call.json(AddDisksBody);
    const item = await getItem(table, vault, call.params);
    const diskIds = disksToAdd(item, properties.providerSpecificDetails);
    const machine = await getMachineNow(
      table,
      { vault, applianceId: item.applianceId },
      item.machine.protectableItemName,
    );
    if (planAddDisks(item, machine, diskIds) === item)
      return { status: 200, body: await itemAnswer(vault, call.params) };
    return startChange(call, { vault, item, change: { kind: 'AddDisks', diskIds } });
  },
);

httpOperation(
  'removeProtectedItemDisks',
  { method: 'POST', route: `${itemRoute}/removeDisks`, durable: true },
  async (call) => {
    const { table } = services();
    const vault = await requireVault(table, vaultOf(call.params));
    const { properties } = await call.json(RemoveDisksBody);
    const row = await findItemRow(table, vault, call.params);
    if (row === undefined) throw itemNotFound(call.params);
    const diskIds = disksToRemove(properties.providerSpecificDetails);
    if (planRemoveDisks(row.item, row.progress, diskIds) === row.item)
      return { status: 200, body: await itemAnswer(vault, call.params) };
    return startChange(call, { vault, item: row.item, change: { kind: 'RemoveDisks', diskIds } });
  },
);

httpOperation(
  'repairReplication',
  { method: 'POST', route: `${itemRoute}/repairReplication`, durable: true },
  async (call) => {
    const { table, settings } = services();
    const vault = await requireVault(table, vaultOf(call.params));
    const item = await getItem(table, vault, call.params);
    requireProtected(item);
    return startOn(call, {
      vault,
      item,
      scenario: 'RepairVMReplication',
      orchestration: repairVmReplication,
      input: {
        item: handleOf(item),
        waitMinutes: settings.APPLIANCE_WAIT_MINUTES,
      } satisfies z.infer<typeof RepairReplicationInput>,
    });
  },
);

function startChange(
  call: Call<string>,
  { vault, item, change }: { vault: VaultRef; item: ProtectedItem; change: z.infer<typeof DiskChange> },
) {
  const input: z.infer<typeof ChangeDisksInput> = {
    item: handleOf(item),
    machineName: item.machine.name,
    change,
    waitMinutes: services().settings.APPLIANCE_WAIT_MINUTES,
  };
  return startOn(call, { vault, item, scenario: change.kind, orchestration: changeDisks, input });
}

async function startOn(
  call: Call<string>,
  job: {
    vault: VaultRef;
    item: ProtectedItem;
    scenario: ScenarioName;
    orchestration: string;
    input: unknown;
  },
) {
  const { vault, item, scenario, orchestration, input } = job;
  if ((await findRunningHolder(services().table, vault, item)) !== undefined) throw itemBusy(item);
  return startJob(call, {
    vault,
    orchestration,
    scenario,
    target: { id: item.machine.protectableItemName, name: item.machine.name },
    resource: itemPath(item),
    affected: affectedObjects(item, item.applianceId),
    input,
  });
}
