import { z } from 'zod';
import { Mapping } from '../../shared/policy/mapping.ts';
import { createMapping, planMapping } from '../../shared/policy/mapping-store.ts';
import { getUsablePolicy } from '../../shared/policy/policy-store.ts';
import { keepMappingOfPolicy, removeUnusedMapping } from '../../shared/policy/policy-use.ts';
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
    await getUsablePolicy(table, vault, mapping.policyName);
    await planMapping(table, vault, mapping);
  },
);

export const storeMapping = activity(
  'storeMapping',
  { input: MappingInput, output: z.void() },
  async ({ vault, mapping }) => {
    await createMapping(services().table, vault, mapping);
    await keepMappingOfPolicy(services().table, vault, mapping);
  },
);

/** Which association, and whether it goes in any case. */
export const MappingRemoval = z.object({
  names: z.object({ fabricName: z.string(), containerName: z.string(), name: z.string() }),
  force: z.boolean(),
});

export const dropMapping = activity(
  'dropMapping',
  { input: MappingRemoval.extend({ vault: VaultRefSchema }), output: z.void() },
  async ({ vault, ...removal }) => {
    await removeUnusedMapping(services().table, vault, removal);
  },
);
