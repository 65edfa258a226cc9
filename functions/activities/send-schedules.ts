import { z } from 'zod';
import { type VaultRef, sameName } from '../../shared/arm/resource-id.ts';
import { findAppliance } from '../../shared/fabric/appliance.ts';
import { scheduleOf } from '../../shared/policy/policy.ts';
import { getPolicy } from '../../shared/policy/policy-store.ts';
import { listItemRows } from '../../shared/protection/item-row.ts';
import { type ProtectedItem } from '../../shared/protection/protected-item.ts';
import { startCommand } from '../../shared/protection/start-command.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { VaultRefSchema } from './vault-ref.ts';

/**
 * Tells the appliances the present schedule of a policy, for one page of the vault's items. The command is the one
 * that began the replication: an appliance takes the schedule from it and leaves everything else as it is.
 */
export const sendSchedules = activity(
  'sendSchedules',
  {
    input: z.object({
      vault: VaultRefSchema,
      policyName: z.string(),
      /** With it and the item, the command's id. */
      jobId: z.string(),
      issuedAtMs: z.number(),
      continuation: z.string().optional(),
    }),
    output: z.object({ continuation: z.string().optional() }),
  },
  async ({ vault, policyName, jobId, issuedAtMs, continuation }) => {
    const { table } = services();
    const page = await listItemRows(table, vault, { continuation });
    for (const { item } of page.rows) {
      if (!sameName(item.policyName, policyName) || !replicates(item)) continue;
      const commandId = `${jobId}-${item.protectedItemId}`;
      await sendSchedule(vault, item, { commandId, issuedAtMs });
    }
    return page.continuation === undefined ? {} : { continuation: page.continuation };
  },
);

function replicates(item: ProtectedItem): boolean {
  return (
    (item.state === 'Protected' || item.state === 'InitialReplicationInProgress') &&
    item.currentJob?.scenario !== 'DisableDr'
  );
}

async function sendSchedule(
  vault: VaultRef,
  item: ProtectedItem,
  head: { commandId: string; issuedAtMs: number },
): Promise<void> {
  const { table, commandQueues } = services();
  const appliance = await findAppliance(table, vault, item.applianceId);
  if (appliance === undefined) return;
  const schedule = scheduleOf(await getPolicy(table, vault, item.policyName));
  const body = await startCommand(services(), { item, appliance, schedule });
  await commandQueues.send(item.applianceId, { version: 1, ...head, body });
}
