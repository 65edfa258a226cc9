import { z } from 'zod';
import { forgetDiscovery } from '../../shared/discovery/apply-discovery.ts';
import { hasProtectedMachine } from '../../shared/discovery/machine.ts';
import { deleteVCenter as forgetVCenter } from '../../shared/fabric/vcenter.ts';
import { DomainError } from '../../shared/fault.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { VaultRefSchema } from './vault-ref.ts';

const Which = z.object({
  vault: VaultRefSchema,
  applianceId: z.uuid(),
  fabricName: z.string(),
  vCenterName: z.string(),
});

/** A machine that is protected is found through its vCenter, so that one stays. */
export const refuseProtecting = activity(
  'refuseProtecting',
  { input: Which, output: z.void() },
  async ({ vault, applianceId, vCenterName }) => {
    if (!(await hasProtectedMachine(services().table, vault, { applianceId, vCenterName }))) return;
    throw new DomainError({
      code: 'ResourceNotEmpty',
      armCode: 'VCenterNotEmpty',
      message: `The vCenter server '${vCenterName}' can not be deleted: some of its machines are protected.`,
      recommendedAction: 'Disable the replication of its machines, then delete it again.',
    });
  },
);

/** Forgets a vCenter and its machines. */
export const dropVCenter = activity(
  'dropVCenter',
  { input: Which, output: z.void() },
  async ({ vault, applianceId, fabricName, vCenterName }) => {
    const { table } = services();
    await forgetVCenter(table, vault, { fabricName, vCenterName });
    await forgetDiscovery(table, { vault, applianceId }, vCenterName);
  },
);
