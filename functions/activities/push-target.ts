import { z } from 'zod';
import { getMachineNow } from '../../shared/discovery/physical-machine.ts';
import { DomainError } from '../../shared/fault.ts';
import { getItem } from '../../shared/protection/protected-item-store.ts';
import { planPush } from '../../shared/protection/plan-push.ts';
import { PushTarget } from '../../shared/wire/command.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { ItemInput } from './protected-item.ts';

/** Where the item's machine is now, and the account to enter it with; nothing when none was chosen. */
export const findPushTarget = activity(
  'findPushTarget',
  {
    /** `accountId`: in place of the one that was chosen when replication was enabled. */
    input: ItemInput.extend({ accountId: z.string().optional() }),
    output: z.object({ push: PushTarget.optional(), biosUuid: z.guid() }),
  },
  async ({ vault, item, accountId }) => {
    const { table } = services();
    const row = await getItem(table, vault, item);
    const ref = { vault, applianceId: row.applianceId };
    const machine = await getMachineNow(table, ref, row.machine.protectableItemName).catch(
      (error: unknown) => {
        // It is no longer discovered: it may still be where it was.
        if (error instanceof DomainError && error.fault.code === 'ResourceNotFound') return undefined;
        throw error;
      },
    );
    const push = planPush(row, machine?.machine.ipAddresses ?? [], accountId);
    return { biosUuid: row.machine.biosUuid, ...(push === undefined ? {} : { push }) };
  },
);
