import { z } from 'zod';
import { removeAppliance as remove } from '../../shared/fabric/remove-appliance.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { VaultRefSchema } from './vault-ref.ts';

/** Takes a configuration server out of its vault; with force, what hangs below it too. */
export const removeAppliance = activity(
  'removeAppliance',
  { input: z.object({ vault: VaultRefSchema, applianceId: z.uuid(), force: z.boolean() }), output: z.void() },
  async ({ vault, ...which }) => {
    const { table, commandQueues } = services();
    await remove({ table, commandQueues }, vault, which);
  },
);
