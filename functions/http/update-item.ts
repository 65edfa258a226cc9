import { type z } from 'zod';
import { DomainError } from '../../shared/fault.ts';
import { affectedObjects } from '../../shared/protection/affected-objects.ts';
import { findRunningHolder, itemBusy } from '../../shared/protection/hold-item.ts';
import { planUpdate } from '../../shared/protection/plan-update.ts';
import { getItem } from '../../shared/protection/protected-item-store.ts';
import { itemPath } from '../../shared/protection/protected-item.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { ResolveHealthErrorsBody, UpdateProtectedItemBody } from '../../shared/wire/arm-protected-item.ts';
import { handleOf } from '../activities/protected-item.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { startJob } from '../edge/start-job.ts';
import { type UpdateVmPropertiesInput, updateVmProperties } from '../orchestrations/update-item.ts';
import { services } from '../services.ts';
import { itemAnswer } from './item-answer.ts';
import { itemRoute } from './protected-items.ts';

httpOperation('patchProtectedItem', { method: 'PATCH', route: itemRoute, durable: true }, async (call) => {
  const { table } = services();
  const vault = await requireVault(table, vaultOf(call.params));
  const { properties: change } = await call.json(UpdateProtectedItemBody);
  const item = await getItem(table, vault, call.params);
  if (planUpdate(item, change) === item) return { status: 200, body: await itemAnswer(vault, call.params) };
  if ((await findRunningHolder(table, vault, item)) !== undefined) throw itemBusy(item);
  return startJob(call, {
    vault,
    orchestration: updateVmProperties,
    scenario: 'UpdateVmProperties',
    target: { id: item.machine.protectableItemName, name: item.machine.name },
    resource: itemPath(item),
    affected: affectedObjects(item, item.applianceId),
    input: { item: handleOf(item), change } satisfies z.infer<typeof UpdateVmPropertiesInput>,
  });
});

/** Health errors here follow from what is the case, so none goes away by being called resolved. */
httpOperation(
  'resolveHealthErrors',
  { method: 'POST', route: `${itemRoute}/resolveHealthErrors` },
  async (call) => {
    const { properties } = await call.json(ResolveHealthErrorsBody);
    const body = await itemAnswer(vaultOf(call.params), call.params);
    const asked = (properties?.healthErrors ?? []).flatMap(({ healthErrorId }) => healthErrorId ?? []);
    const known = body.properties.healthErrors;
    const standing = known.find(({ errorId }) => asked.includes(errorId));
    if (standing === undefined) return { status: 200, body };
    throw new DomainError({
      code: 'Conflict',
      message: `The health error ${standing.errorCode} can not be resolved by a request: it goes by itself with its cause.`,
      target: standing.errorId,
      recommendedAction: standing.recommendedAction,
    });
  },
);
