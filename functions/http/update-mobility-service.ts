import { type z } from 'zod';
import { affectedObjects } from '../../shared/protection/affected-objects.ts';
import { findRunningHolder, itemBusy } from '../../shared/protection/hold-item.ts';
import { getItem } from '../../shared/protection/protected-item-store.ts';
import { itemPath } from '../../shared/protection/protected-item.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { UpdateMobilityServiceBody } from '../../shared/wire/arm-protected-item.ts';
import { handleOf } from '../activities/protected-item.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { startJob } from '../edge/start-job.ts';
import {
  type UpdateMobilityServiceInput,
  updateMobilityService,
} from '../orchestrations/update-mobility-service.ts';
import { services } from '../services.ts';
import { itemRoute } from './protected-items.ts';

httpOperation(
  'postUpdateMobilityService',
  { method: 'POST', route: `${itemRoute}/updateMobilityService`, durable: true },
  async (call) => {
    const { table, settings } = services();
    const vault = await requireVault(table, vaultOf(call.params));
    const { properties } = await call.json(UpdateMobilityServiceBody);
    const item = await getItem(table, vault, call.params);
    if ((await findRunningHolder(table, vault, item)) !== undefined) throw itemBusy(item);
    const runAsAccountId = properties?.runAsAccountId;
    return startJob(call, {
      vault,
      orchestration: updateMobilityService,
      scenario: 'UpdateMobilityService',
      target: { id: item.machine.protectableItemName, name: item.machine.name },
      resource: itemPath(item),
      affected: affectedObjects(item, item.applianceId),
      input: {
        item: handleOf(item),
        machineName: item.machine.name,
        waitMinutes: settings.APPLIANCE_WAIT_MINUTES,
        ...(runAsAccountId === undefined ? {} : { runAsAccountId }),
      } satisfies z.infer<typeof UpdateMobilityServiceInput>,
    });
  },
);
