/** Churn and RPO over time, hour by hour: of one protected item, or of all of a vault. */
import { type ItemHour, churnAnswer, listHours, rpoAnswer } from '../../shared/recovery/history.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { takeOf } from '../edge/filter.ts';
import { type Call, httpOperation, vaultOf } from '../edge/http-edge.ts';
import { nextLinkOf, skipTokenOf } from '../edge/next-link.ts';
import { vaultRoute } from '../edge/route.ts';
import { services } from '../services.ts';
import { getNamedItem } from './named-item.ts';

const churnRoute = `${vaultRoute}/secondsite/churn` as const;
const rpoRoute = `${vaultRoute}/secondsite/rpoHistory` as const;

httpOperation('listChurn', { method: 'GET', route: churnRoute }, (call) =>
  hours(call, call.params, churnAnswer),
);

httpOperation('listRpoHistory', { method: 'GET', route: rpoRoute }, (call) =>
  hours(call, call.params, rpoAnswer),
);

async function hours(
  { query, url }: Pick<Call<string>, 'query' | 'url'>,
  params: Call<typeof churnRoute>['params'],
  answer: (hour: ItemHour) => object,
) {
  const { table } = services();
  const most = takeOf(query);
  const vault = await requireVault(table, vaultOf(params));
  const name = query.get('protectedItem');
  const item = name === null || name === '' ? undefined : await getNamedItem(vault, name);
  const page = await listHours(
    table,
    { vault, protectedItemId: item?.protectedItemId },
    { most, continuation: skipTokenOf(query) },
  );
  const value = page.rows.map(({ value }) => answer(value));
  return { status: 200, body: { value, nextLink: nextLinkOf(url, page.continuation) } };
}
