import { z } from 'zod';
import { Mapping } from '../../shared/policy/mapping.ts';
import { createMapping, planMapping } from '../../shared/policy/mapping-store.ts';
import { getPolicy } from '../../shared/policy/policy-store.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { VaultRefSchema } from './vault-ref.ts';

const MappingInput = z.object({ mapping: Mapping, vault: VaultRefSchema });

/** @throws what stands against the association now. */
export const checkMapping = activity(
  'checkMapping',
  { input: MappingInput, output: z.void() },
  async ({ vault, mapping }) => {
    const { table } = services();
    await getPolicy(table, vault, mapping.policyName);
    await planMapping(table, vault, mapping);
  },
);

export const storeMapping = activity(
  'storeMapping',
  { input: MappingInput, output: z.void() },
  async ({ vault, mapping }) => {
    await createMapping(services().table, vault, mapping);
  },
);
