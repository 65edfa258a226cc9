import { z } from 'zod';

/** The vault that an activity or orchestration works for. */
export const VaultRefSchema = z.object({
  subscriptionId: z.string(),
  resourceGroup: z.string(),
  vaultName: z.string(),
});
