import { eventAnswer } from '../../shared/event/event.ts';
import { eventQueryFields, findEvents, getEvent } from '../../shared/event/event-store.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { parseFilter } from '../edge/filter.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { nextLinkOf, skipTokenOf } from '../edge/next-link.ts';
import { vaultRoute } from '../edge/route.ts';
import { services } from '../services.ts';

const eventsRoute = `${vaultRoute}/replicationEvents` as const;

httpOperation('listEvents', { method: 'GET', route: eventsRoute }, async (call) => {
  const { table } = services();
  const vault = await requireVault(table, vaultOf(call.params));
  const { events, continuation } = await findEvents(table, vault, {
    filter: parseFilter(call.query.get('$filter'), eventQueryFields),
    continuation: skipTokenOf(call.query),
  });
  return {
    status: 200,
    body: {
      value: events.map((event) => eventAnswer(vault, event)),
      nextLink: nextLinkOf(call.url, continuation),
    },
  };
});

httpOperation('getEvent', { method: 'GET', route: `${eventsRoute}/{eventName}` }, async (call) => {
  const vault = vaultOf(call.params);
  const event = await getEvent(services().table, vault, call.params.eventName);
  return { status: 200, body: eventAnswer(vault, event) };
});
