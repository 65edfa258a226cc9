import { z } from 'zod';
import { DomainError } from '../../shared/fault.ts';
import { itemRef } from '../../shared/protection/item-row.ts';
import { advanceRecoveryPoints } from '../../shared/recovery/advance.ts';
import { recoveryPointName } from '../../shared/recovery/recovery-point.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { ItemInput } from './protected-item.ts';

/** Reads the replica log up to the point, whether or not its check-in has come. */
export const recordPoint = activity(
  'recordPoint',
  { input: ItemInput.extend({ sequence: z.number() }), output: z.object({ name: z.string() }) },
  async ({ vault, item, sequence }) => {
    const { protectedItemId } = item;
    const anchor = await advanceRecoveryPoints(services(), itemRef(vault, item));
    if (anchor !== undefined && anchor.sequence >= sequence) {
      return { name: recoveryPointName(protectedItemId, sequence) };
    }
    throw new DomainError({
      code: 'ReplicaDamaged',
      message: `The replica log of '${item.itemName}' does not lead to the new point ${sequence}.`,
      ...(anchor?.defect !== undefined && { target: anchor.defect.blob }),
      possibleCauses: anchor?.defect?.detail ?? 'The manifest is not in the container.',
      recommendedAction: 'Disable replication and enable it again; the points before stay good until then.',
    });
  },
);

/** Follows the replica log once more: the answer is about what is there now. */
export const requirePoint = activity(
  'requirePoint',
  { input: ItemInput, output: z.void() },
  async ({ vault, item }) => {
    const anchor = await advanceRecoveryPoints(services(), itemRef(vault, item));
    if (anchor?.newest !== undefined) return;
    throw new DomainError({
      code: 'ReplicaDamaged',
      message: `The replica log of '${item.itemName}' has no recovery point.`,
      recommendedAction: 'Disable replication and enable it again.',
    });
  },
);
