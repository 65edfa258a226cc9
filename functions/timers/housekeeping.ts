import { app } from '@azure/functions';
import * as df from 'durable-functions';
import { jobsKeptMs, tidyClaimChecks, tidyVault } from '../../shared/vault/housekeeping.ts';
import { allVaults } from '../../shared/vault/vault-index.ts';
import { services } from '../services.ts';

/** Every hour: puts away old jobs with their histories, audit rows, answers of appliances, claim checks. */
app.timer('housekeeping', {
  schedule: '0 17 * * * *',
  extraInputs: [df.input.durableClient()],
  handler: async (_timer, context) => {
    const { table, replicaStorage } = services();
    const nowMs = Date.now();
    for await (const vault of allVaults(table)) await tidyVault(table, vault, nowMs);
    await tidyClaimChecks(replicaStorage, nowMs);
    await df.getClient(context).purgeInstanceHistoryBy({
      createdTimeFrom: new Date(0),
      createdTimeTo: new Date(nowMs - jobsKeptMs),
      runtimeStatus: ended,
    });
  },
});

const ended = [
  df.OrchestrationRuntimeStatus.Completed,
  df.OrchestrationRuntimeStatus.Failed,
  df.OrchestrationRuntimeStatus.Terminated,
];
