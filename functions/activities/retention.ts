import { z } from 'zod';
import { MiB } from '../../shared/bytes.ts';
import { DomainError } from '../../shared/fault.ts';
import { findPolicy } from '../../shared/policy/policy-store.ts';
import { findItem } from '../../shared/protection/protected-item-store.ts';
import { retainItem } from '../../shared/recovery/retain.ts';
import { FramePool } from '../../shared/replica/frame-pool.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { VaultRefSchema } from './vault-ref.ts';

/** Well below the five minutes that the consumption plan gives a function. */
const longestStepMs = 3 * 60_000;
const longestHistoryMinutes = 15 * 24 * 60;

/** An item whose retention is due. */
export const RetainedItem = z.object({
  fabricName: z.string(),
  containerName: z.string(),
  itemName: z.string(),
  protectedItemId: z.uuid(),
});
export type RetainedItem = z.infer<typeof RetainedItem>;

/** Threads that open and seal frames; idle ones keep no process alive. */
let frames: FramePool | undefined;

/**
 * Does one step of an item's retention: bounded in time and in what it writes. An item that is gone, or going, has
 * nothing left to do.
 */
export const retainStep = activity(
  'retainStep',
  {
    input: z.object({ vault: VaultRefSchema, item: RetainedItem }),
    output: z.object({ isComplete: z.boolean() }),
  },
  async ({ vault, item }) => {
    const { settings, table } = services();
    const { protectedItemId } = item;
    const found = await findItem(table, vault, item);
    const isThere = found?.protectedItemId === protectedItemId && found.state !== 'DisablingProtection';
    if (!isThere || found.currentJob?.scenario === 'DisableDr') return { isComplete: true };
    const policy = await findPolicy(table, vault, found.policyName);
    const historyMinutes = policy?.recoveryPointHistory ?? longestHistoryMinutes;
    frames ??= new FramePool();
    try {
      return await retainItem(
        services(),
        { vault, ...item },
        {
          retention: { tiers: settings.RETENTION_TIERS, historyMs: historyMinutes * 60_000 },
          budgetBytes: settings.COMPACTION_STEP_MEGABYTES * MiB,
          graceMs: settings.COLLECTION_GRACE_MINUTES * 60_000,
          signal: AbortSignal.timeout(longestStepMs),
          pool: frames,
          nowMs: Date.now(),
        },
      );
    } catch (error) {
      // Its container was deleted meanwhile.
      if (error instanceof DomainError && error.fault.code === 'ResourceNotFound')
        return { isComplete: true };
      throw error;
    }
  },
);
