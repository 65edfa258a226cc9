import { z } from 'zod';
import { VaultStore } from '../../shared/vault/vault.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { parseInput } from '../edge/read-body.ts';
import { vaultRoute } from '../edge/route.ts';
import { services } from '../services.ts';

const Question = z.object({
  storageAccountId: z.string('is missing').max(1_000),
  virtualNetworkId: z.string('is missing').max(1_000),
  subnetName: z.string('is missing').min(1).max(80),
});

httpOperation(
  'getTargetEnvironment',
  { method: 'GET', route: `${vaultRoute}/secondsite/targetEnvironment` },
  async (call) => {
    const { table, targetAccess } = services();
    const question = parseInput(Question, Object.fromEntries(call.query));
    const { value: vault } = await new VaultStore(table).get(vaultOf(call.params));
    const { checkTargetEnvironment } = await import('../../shared/target/target-environment.ts');
    const body = await checkTargetEnvironment(await targetAccess(), { ...question, region: vault.location });
    return { status: 200, body };
  },
);
