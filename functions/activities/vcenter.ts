import { z } from 'zod';
import { forgetDiscovery } from '../../shared/discovery/apply-discovery.ts';
import { VCenter, findVCenter, putVCenter } from '../../shared/fabric/vcenter.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { VaultRefSchema } from './vault-ref.ts';

export const saveVCenter = activity(
  'saveVCenter',
  { input: z.object({ vault: VaultRefSchema, fabricName: z.string(), vCenter: VCenter }), output: z.void() },
  async ({ vault, fabricName, vCenter }) => {
    await putVCenter(services().table, vault, { fabricName, vCenter });
  },
);

/** Answers whether the vCenter was there before: then a failed change of it leaves what there is. */
export const dropUnknownVCenter = activity(
  'dropUnknownVCenter',
  {
    input: z.object({
      vault: VaultRefSchema,
      applianceId: z.uuid(),
      fabricName: z.string(),
      vCenterName: z.string(),
    }),
    output: z.object({ known: z.boolean() }),
  },
  async ({ vault, applianceId, fabricName, vCenterName }) => {
    const { table } = services();
    if ((await findVCenter(table, vault, { fabricName, vCenterName })) !== undefined) return { known: true };
    await forgetDiscovery(table, { vault, applianceId }, vCenterName);
    return { known: false };
  },
);
