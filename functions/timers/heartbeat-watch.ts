import { app } from '@azure/functions';
import { watchAppliance } from '../../shared/fabric/appliance-watch.ts';
import { listAppliances } from '../../shared/fabric/appliance.ts';
import { allVaults } from '../../shared/vault/vault-index.ts';
import { services } from '../services.ts';

/** Every minute: who has fallen silent, who is back, what is not well and since when. */
app.timer('heartbeatWatch', {
  schedule: '0 * * * * *',
  handler: async () => {
    const { table } = services();
    for await (const vault of allVaults(table)) {
      for (const appliance of await listAppliances(table, vault)) {
        const ref = { vault, applianceId: appliance.applianceId };
        await watchAppliance(table, ref, { appliance, nowMs: Date.now() });
      }
    }
  },
});
