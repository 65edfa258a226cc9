import { operationStatusAnswer } from '../../shared/job/job-answer.ts';
import { getJob } from '../../shared/job/job-store.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { vaultRoute } from '../edge/route.ts';
import { services } from '../services.ts';

/** The vault client's spelling of replicationOperationStatus. */
httpOperation(
  'getVaultOperationStatus',
  { method: 'GET', route: `${vaultRoute}/operationStatus/{operationId}` },
  async (call) => {
    const jobId = call.params.operationId;
    const job = await getJob(services().table, { vault: vaultOf(call.params), jobId });
    return { status: 200, body: operationStatusAnswer(job) };
  },
);
