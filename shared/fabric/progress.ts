import { z } from 'zod';
import { ItemProgress } from '../wire/check-in.ts';
import { SenderOrder } from './sender-order.ts';

/** Where an item's replication stood when its appliance last said so. */
export const KeptProgress = z.object({
  order: SenderOrder,
  /** By the appliance's clock. */
  sentAtMs: z.number(),
  progress: ItemProgress,
});
export type KeptProgress = z.infer<typeof KeptProgress>;
