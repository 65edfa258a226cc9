import { createHash } from 'node:crypto';
import { app } from '@azure/functions';
import * as df from 'durable-functions';
import { type z } from 'zod';
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { listCompactionStates } from '../../shared/recovery/compaction-store.ts';
import { listItemRows } from '../../shared/protection/item-row.ts';
import { vaultPartition } from '../../shared/store/row-key.ts';
import { allVaults } from '../../shared/vault/vault-index.ts';
import { type RetainedItem } from '../activities/retention.ts';
import { type ApplyRetentionInput, applyRetention } from '../orchestrations/apply-retention.ts';
import { services } from '../services.ts';

/** Items of one fan-out; others are due at the next look. */
const mostItems = 500;

/** Every five minutes: which items' retention is due (RETENTION_MINUTES). A vault's fan-out runs once at a time. */
app.timer('retention', {
  schedule: '15 2-59/5 * * * *',
  extraInputs: [df.input.durableClient()],
  handler: async (_timer, context) => {
    const { settings, table } = services();
    const client = df.getClient(context);
    for await (const vault of allVaults(table)) {
      const items = await dueItems(vault, Date.now() - settings.RETENTION_MINUTES * 60_000);
      const instanceId = instanceOf(vault);
      if (items.length === 0 || (await isRunning(client, instanceId))) continue;
      const input: z.infer<typeof ApplyRetentionInput> = {
        vault,
        items,
        parallel: settings.RETENTION_PARALLEL_ITEMS,
      };
      await client.startNew(applyRetention, { instanceId, input });
    }
  },
});

async function dueItems(vault: VaultRef, beforeMs: number): Promise<RetainedItem[]> {
  const { table } = services();
  const states = await listCompactionStates(table, vault);
  const due: RetainedItem[] = [];
  let continuation: string | undefined;
  do {
    const page = await listItemRows(table, vault, { continuation });
    for (const { item } of page.rows) {
      const { fabricName, containerName, itemName, protectedItemId } = item;
      const isOpen = item.state === 'Protected' || item.state === 'InitialReplicationInProgress';
      if (!isOpen || (states.get(protectedItemId)?.completedAtMs ?? 0) > beforeMs) continue;
      due.push({ fabricName, containerName, itemName, protectedItemId });
    }
    continuation = page.continuation;
  } while (continuation !== undefined && due.length < mostItems);
  return due.slice(0, mostItems);
}

function instanceOf(vault: VaultRef): string {
  return `retention-${createHash('sha256').update(vaultPartition(vault)).digest('hex').slice(0, 32)}`;
}

const ended = new Set([
  df.OrchestrationRuntimeStatus.Completed,
  df.OrchestrationRuntimeStatus.Failed,
  df.OrchestrationRuntimeStatus.Terminated,
  df.OrchestrationRuntimeStatus.Canceled,
]);

async function isRunning(client: df.DurableClient, instanceId: string): Promise<boolean> {
  try {
    const status: df.DurableOrchestrationStatus | null = await client.getStatus(instanceId);
    return status !== null && !ended.has(status.runtimeStatus);
  } catch {
    return false; // the client throws where there is no such instance; where the host is in trouble, starting says so
  }
}
