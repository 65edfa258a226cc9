import { TargetEnvironmentQuery } from '../../shared/wire/own-api.ts';
import { VaultStore } from '../../shared/vault/vault.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { parseInput } from '../edge/read-body.ts';
import { vaultRoute } from '../edge/route.ts';
import { services } from '../services.ts';

httpOperation(
  'getTargetEnvironment',
  { method: 'GET', route: `${vaultRoute}/secondsite/targetEnvironment` },
  async (call) => {
    const { table, targetAccess } = services();
    const question = parseInput(TargetEnvironmentQuery, Object.fromEntries(call.query));
    const { value: vault } = await new VaultStore(table).get(vaultOf(call.params));
    const { checkTargetEnvironment } = await import('../../shared/target/target-environment.ts');
    const body = await checkTargetEnvironment(await targetAccess(), { ...question, region: vault.location });
    return { status: 200, body };
  },
);
