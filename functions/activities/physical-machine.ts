import { z } from 'zod';
import { PhysicalMachine, addPhysicalMachine } from '../../shared/discovery/physical-machine.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { VaultRefSchema } from './vault-ref.ts';

export const savePhysicalMachine = activity(
  'savePhysicalMachine',
  {
    input: z.object({ vault: VaultRefSchema, applianceId: z.uuid(), machine: PhysicalMachine }),
    output: z.void(),
  },
  async ({ vault, applianceId, machine }) => {
    await addPhysicalMachine(services().table, { vault, applianceId }, machine);
  },
);
