/** Removing a configuration server, by any of the three names under which the vault knows it. */
import { type z } from 'zod';
import { type ChildPath, type VaultRef, sameName } from '../../shared/arm/resource-id.ts';
import {
  type Appliance,
  findAppliance,
  findFabric,
  fabricPath,
  providerPath,
} from '../../shared/fabric/appliance.ts';
import { refuseHolding, removeAppliance } from '../../shared/fabric/remove-appliance.ts';
import { notFound } from '../../shared/store/rows.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { type Call, httpOperation, vaultOf } from '../edge/http-edge.ts';
import { fabricRoute, vaultRoute } from '../edge/route.ts';
import { type RemoveFabricInput, removeFabric } from '../orchestrations/remove-fabric.ts';
import { startJob } from '../edge/start-job.ts';
import { services } from '../services.ts';

const providerRoute = `${fabricRoute}/replicationRecoveryServicesProviders/{providerName}` as const;

type Names = VaultRef & { fabricName: string; providerName?: string };

httpOperation('removeServer', { method: 'POST', route: `${fabricRoute}/remove`, durable: true }, (call) =>
  remove(call, call.params, fabricPath),
);
httpOperation('purgeServer', { method: 'DELETE', route: fabricRoute, durable: true }, (call) =>
  purge(call, call.params, fabricPath),
);
httpOperation('removeProvider', { method: 'POST', route: `${providerRoute}/remove`, durable: true }, (call) =>
  remove(call, call.params, providerPath),
);
httpOperation('purgeProvider', { method: 'DELETE', route: providerRoute, durable: true }, (call) =>
  purge(call, call.params, providerPath),
);

/** The vault client knows of no job here: the server is gone when this is answered. */
httpOperation(
  'deleteRegisteredIdentity',
  { method: 'DELETE', route: `${vaultRoute}/registeredIdentities/{identityName}` },
  async (call) => {
    const { table, commandQueues } = services();
    const vault = await requireVault(table, vaultOf(call.params));
    const appliance = await findAppliance(table, vault, call.params.identityName);
    if (appliance !== undefined) {
      const { applianceId } = appliance;
      await removeAppliance({ table, commandQueues }, vault, { applianceId, force: false });
    }
    return { status: 204 };
  },
);

async function remove(call: Call<string>, names: Names, pathOf: (applianceId: string) => ChildPath) {
  const { table } = services();
  const vault = await requireVault(table, vaultOf(names));
  const appliance = await findServer(vault, names);
  if (appliance === undefined)
    throw notFound(`The fabric or provider '${names.providerName ?? names.fabricName}'`);
  return start(call, { vault, appliance, force: false, resource: pathOf(appliance.applianceId) });
}

async function purge(call: Call<string>, names: Names, pathOf: (applianceId: string) => ChildPath) {
  const { table } = services();
  const vault = await requireVault(table, vaultOf(names));
  const appliance = await findServer(vault, names);
  if (appliance === undefined) return { status: 204 };
  return start(call, { vault, appliance, force: true, resource: pathOf(appliance.applianceId) });
}

/** Also one whose removal has begun: that can be asked for again. */
async function findServer(
  vault: VaultRef,
  { fabricName, providerName }: Names,
): Promise<Appliance | undefined> {
  const appliance = await findFabric(services().table, vault, fabricName);
  if (appliance === undefined || providerName === undefined) return appliance;
  return sameName(appliance.applianceId, providerName) ? appliance : undefined;
}

async function start(
  call: Call<string>,
  removal: { vault: VaultRef; appliance: Appliance; force: boolean; resource: ChildPath },
) {
  const { vault, resource, force } = removal;
  const { applianceId, machine } = removal.appliance;
  await refuseHolding(services().table, vault, { applianceId, force });
  return startJob(call, {
    vault,
    orchestration: removeFabric,
    scenario: 'RemoveFabric',
    target: { id: applianceId, name: machine.hostName },
    resource,
    input: { applianceId, force } satisfies z.infer<typeof RemoveFabricInput>,
  });
}
