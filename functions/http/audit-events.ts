import { auditEventAnswer, listAuditEvents } from '../../shared/audit/audit-event.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { takeOf } from '../edge/filter.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { nextLinkOf, skipTokenOf } from '../edge/next-link.ts';
import { vaultRoute } from '../edge/route.ts';
import { services } from '../services.ts';

httpOperation(
  'listAuditEvents',
  { method: 'GET', route: `${vaultRoute}/secondsite/auditEvents` },
  async (call) => {
    const most = takeOf(call.query);
    const vault = await requireVault(services().table, vaultOf(call.params));
    const page = await listAuditEvents(services().table, vault, {
      most,
      continuation: skipTokenOf(call.query),
    });
    const value = page.rows.map(({ value }) => auditEventAnswer(vault, value));
    return { status: 200, body: { value, nextLink: nextLinkOf(call.url, page.continuation) } };
  },
);
