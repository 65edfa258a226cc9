import { getContainer } from '../../shared/fabric/appliance.ts';
import { findHeartbeat } from '../../shared/fabric/heartbeat.ts';
import {
  type KeptMachine,
  getMachine,
  machineRange,
  pageOfMachines,
} from '../../shared/discovery/machine.ts';
import { protectableItemAnswer, protectionStatusOf } from '../../shared/discovery/protectable-item-answer.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { parseFilter, takeOf } from '../edge/filter.ts';
import { nextLinkOf, skipTokenOf } from '../edge/next-link.ts';
import { containerRoute } from '../edge/route.ts';
import { services } from '../services.ts';

const route = `${containerRoute}/replicationProtectableItems` as const;
const filterFields = ['name', 'friendlyName', 'state', 'protectionStatus'];

httpOperation('listProtectableItems', { method: 'GET', route }, async (call) => {
  const { table } = services();
  const filter = parseFilter(call.query.get('$filter'), filterFields);
  const take = takeOf(call.query);
  const vault = await requireVault(table, vaultOf(call.params));
  const { applianceId } = await getContainer(table, vault, call.params);
  const heartbeat = await findHeartbeat(table, { vault, applianceId });
  const range = machineRange(vault, applianceId);
  const value: object[] = [];
  let continuation = skipTokenOf(call.query);
  // Filtered rows are skipped here, so a page of the table may give nothing to this page.
  do {
    const page = await pageOfMachines(table, range, { most: take - value.length, continuation });
    for (const { value: kept } of page.rows) {
      if (fits(kept, filter)) value.push(protectableItemAnswer({ vault, applianceId, kept, heartbeat }));
    }
    continuation = page.continuation;
  } while (continuation !== undefined && value.length < take);
  return { status: 200, body: { value, nextLink: nextLinkOf(call.url, continuation) } };
});

httpOperation(
  'getProtectableItem',
  { method: 'GET', route: `${route}/{protectableItemName}` },
  async (call) => {
    const { table } = services();
    const vault = await requireVault(table, vaultOf(call.params));
    const { applianceId } = await getContainer(table, vault, call.params);
    const [row, heartbeat] = await Promise.all([
      getMachine(table, vault, call.params),
      findHeartbeat(table, { vault, applianceId }),
    ]);
    return { status: 200, body: protectableItemAnswer({ vault, applianceId, kept: row.value, heartbeat }) };
  },
);

function fits(kept: KeptMachine, filter: Map<string, string>): boolean {
  const has: Record<string, string> = {
    name: kept.itemName,
    friendlyname: kept.machine.name,
    state: protectionStatusOf(kept),
    protectionstatus: protectionStatusOf(kept),
  };
  return [...filter].every(([field, wanted]) => has[field]?.toLowerCase() === wanted.toLowerCase());
}
