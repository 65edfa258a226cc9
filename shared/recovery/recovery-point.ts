import { z } from 'zod';
import { armResource } from '../arm/resource.ts';
import { type VaultRef } from '../arm/resource-id.ts';
import { uuidV5 } from '../uuid.ts';
import { type ItemNames, itemPath } from '../protection/protected-item.ts';

/** A restore, or whoever else needs a point to stay, for a limited time. */
export const PointHold = z.object({
  holdId: z.string().min(1).max(64),
  /** Who it is, for people to read. */
  holder: z.string().min(1).max(200),
  untilMs: z.number(),
});
export type PointHold = z.infer<typeof PointHold>;

/** A recovery point as it lies in its row. */
export const RecoveryPoint = z.object({
  /** GUID, made from the item's id and the sequence: the same point always has the same name. */
  name: z.uuid(),
  /** Its place in the replica log. */
  sequence: z.number(),
  timeMs: z.number(),
  consistency: z.enum(['CrashConsistent', 'AppConsistent']),
  /** SHA-256 of its manifest: ties a restore to this very point. */
  hash: z.string(),
  /** Bytes of the disks that changed since the point before, as its segments have them. */
  changedBytes: z.number(),
  /** Bytes of its segments in the replica log. */
  uploadedBytes: z.number(),
  /** Who needs it just now: as long as any of them is in force it is not dropped. */
  holds: z.array(PointHold).optional(),
});
export type RecoveryPoint = z.infer<typeof RecoveryPoint>;

/** The end of an item's chain, kept outside its container, so that a cut or altered chain shows. */
export const Anchor = z.object({
  sequence: z.number(),
  hash: z.string(),
  /** The newest point that is offered. */
  newest: z.object({ name: z.uuid(), sequence: z.number(), timeMs: z.number() }).optional(),
  /** Time of the newest point that is consistent for applications. */
  newestAppConsistentAtMs: z.number().optional(),
  /** Time of the first point that was offered. */
  firstPointAtMs: z.number().optional(),
  /** The compaction in force: a record that stands for the beginning of the chain. */
  compaction: z.object({ number: z.number(), hash: z.string() }).optional(),
  /** Why the chain could not be followed further, as long as it can not. */
  defect: z.object({ blob: z.string(), detail: z.string(), atMs: z.number() }).optional(),
});
export type Anchor = z.infer<typeof Anchor>;

/** The name of the point with this sequence in an item's log. */
export function recoveryPointName(protectedItemId: string, sequence: number): string {
  return uuidV5(protectedItemId, `recovery-point/${sequence}`);
}

/** A recovery point as ARM answers it. */
export function recoveryPointAnswer(vault: VaultRef, item: ItemNames, point: RecoveryPoint) {
  return armResource(vault, [...itemPath(item), ['recoveryPoints', point.name]], {
    recoveryPointTime: new Date(point.timeMs).toISOString(),
    recoveryPointType: point.consistency,
    providerSpecificDetails: { instanceType: 'InMageAzureV2', isMultiVmSyncPoint: 'false' },
  });
}
