/** Physical machines: taken into a protection container by their address, and taken out again. */
import { type z } from 'zod';
import { containerPath, getContainer, listAppliances } from '../../shared/fabric/appliance.ts';
import { viewAppliance } from '../../shared/fabric/appliance-view.ts';
import { containerAnswer } from '../../shared/fabric/fabric-answer.ts';
import {
  DiscoverProtectableItemBody,
  deletePhysicalMachine,
  physicalItemNameOf,
  refuseKnownMachine,
} from '../../shared/discovery/physical-machine.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { containerRoute, vaultRoute } from '../edge/route.ts';
import { startJob } from '../edge/start-job.ts';
import {
  type DiscoverProtectableItemInput,
  discoverProtectableItem,
} from '../orchestrations/discover-protectable-item.ts';
import { services } from '../services.ts';
import { operationResults } from './operation-results.ts';

httpOperation(
  'discoverProtectableItem',
  { method: 'POST', route: `${containerRoute}/discoverProtectableItem`, durable: true },
  async (call) => {
    const { table } = services();
    const vault = await requireVault(table, vaultOf(call.params));
    const { applianceId } = await getContainer(table, vault, call.params);
    const { properties: machine } = await call.json(DiscoverProtectableItemBody);
    await refuseKnownMachine(table, { vault, applianceId }, machine);
    return startJob(call, {
      vault,
      orchestration: discoverProtectableItem,
      scenario: 'DiscoverProtectableItem',
      target: { id: physicalItemNameOf(applianceId, machine.ipAddress), name: machine.friendlyName },
      resource: containerPath(applianceId),
      input: { applianceId, machine } satisfies z.infer<typeof DiscoverProtectableItemInput>,
    });
  },
);

operationResults('getContainerOperationResults', containerRoute, async (params) => {
  const { table } = services();
  const vault = await requireVault(table, vaultOf(params));
  const appliance = await getContainer(table, vault, params);
  return containerAnswer(await viewAppliance(table, vault, appliance));
});

/** Ours: the real service has such machines deleted on the configuration server only. */
httpOperation(
  'deletePhysicalMachine',
  {
    method: 'DELETE',
    route: `${vaultRoute}/secondsite/physicalMachines/{protectableItemName}`,
  },
  async (call) => {
    const { table } = services();
    const vault = await requireVault(table, vaultOf(call.params));
    // A vault has a handful of configuration servers, and the name is known to one of them at most.
    for (const { applianceId } of await listAppliances(table, vault))
      await deletePhysicalMachine(table, { vault, applianceId }, call.params.protectableItemName);
    return { status: 204 };
  },
);
