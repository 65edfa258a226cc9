import { getItem, changeItem, itemNotFound } from '../../shared/protection/protected-item-store.ts';
import { planUpdate } from '../../shared/protection/plan-update.ts';
import { UpdateProtectedItemBody } from '../../shared/wire/arm-protected-item.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { z } from 'zod';
import { checkTarget } from './check-target.ts';
import { ItemInput } from './protected-item.ts';

/** Changes an item's target after looking at it there. Done again it changes nothing. */
export const updateItem = activity(
  'updateItem',
  { input: ItemInput.extend({ change: UpdateProtectedItemBody.shape.properties }), output: z.void() },
  async ({ vault, item, change }) => {
    const { table } = services();
    await checkTarget(vault, planUpdate(await getItem(table, vault, item), change));
    const changed = await changeItem(table, vault, item, (row) => planUpdate(row, change));
    if (changed === undefined) throw itemNotFound(item);
  },
);
