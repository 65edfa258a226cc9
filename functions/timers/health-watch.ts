import { app } from '@azure/functions';
import { readAlertSetting } from '../../shared/alert/alert-setting.ts';
import { type AlertWays, sendAlerts } from '../../shared/event/alert.ts';
import { tellByWebhook } from '../../shared/event/tell-webhook.ts';
import { removeOldExports } from '../../shared/job/export-jobs.ts';
import { watchVault } from '../../shared/protection/watch-vault.ts';
import { allVaults } from '../../shared/vault/vault-index.ts';
import { services } from '../services.ts';

/** Every minute: RPO and health of all items and servers; who wants to know of a change is told. */
app.timer('rpoWatch', {
  schedule: '30 * * * * *',
  handler: async (_timer, context) => {
    const { table } = services();
    const ways = alertWays();
    for await (const vault of allVaults(table)) {
      await watchVault(table, vault, Date.now());
      const problems = await sendAlerts(table, vault, { ways, nowMs: Date.now() });
      for (const problem of problems) context.warn('An alert could not be sent; it is tried again.', problem);
    }
  },
});

/** Once a day: exports of jobs that nobody will look at any more. */
app.timer('exportCleanup', {
  schedule: '0 41 3 * * *',
  handler: () => removeOldExports(services().replicaStorage, Date.now()),
});

function alertWays(): AlertWays {
  const { settings, table } = services();
  const { ALERT_SMTP_URL: smtpUrl, ALERT_EMAIL_FROM: from } = settings;
  const { ALERT_WEBHOOK_URL: url, ALERT_WEBHOOK_SECRET: secret } = settings;
  return {
    email:
      smtpUrl === undefined || from === undefined
        ? undefined
        : async (vault, event) => {
            // Imported when it is first needed: the mail library is slow to load.
            const { tellByEmail } = await import('../../shared/event/tell-email.ts');
            const { customEmailAddresses: recipients } = await readAlertSetting(table, vault);
            await tellByEmail({ smtpUrl, from, recipients }, vault, event);
          },
    webhook:
      url === undefined || secret === undefined
        ? undefined
        : (vault, event) => tellByWebhook({ url, secret }, vault, event),
  };
}
