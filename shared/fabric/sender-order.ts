import { z } from 'zod';

/** Where a check-in stands in what its sender sent: a later epoch follows every restart of the sender. */
export const SenderOrder = z.object({ epoch: z.number(), sequence: z.number() });
export type SenderOrder = z.infer<typeof SenderOrder>;

/** Whether the first was sent after the second. */
export function isLater(first: SenderOrder, second: SenderOrder): boolean {
  return first.epoch === second.epoch ? first.sequence > second.sequence : first.epoch > second.epoch;
}
