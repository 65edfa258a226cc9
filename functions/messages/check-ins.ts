/** What appliances say: at least once, in any order. Each kind is applied so that twice or late changes nothing. */
import { type InvocationContext, app } from '@azure/functions';
import { type BlobServiceClient } from '@azure/storage-blob';
import * as df from 'durable-functions';
import { commandEvent, instanceOfCommand, keepCommandResult } from '../../shared/command/command-result.ts';
import { applyDiscovery } from '../../shared/discovery/apply-discovery.ts';
import { ApplianceCache, type OpenedCheckIn, openCheckIn } from '../../shared/fabric/check-in.ts';
import { checkInQueue } from '../../shared/fabric/appliance-token.ts';
import { sameName } from '../../shared/arm/resource-id.ts';
import { fabricNameOf } from '../../shared/fabric/appliance.ts';
import { DomainError } from '../../shared/fault.ts';
import { changeJob } from '../../shared/job/job-store.ts';
import { type Job, noteProgress } from '../../shared/job/job.ts';
import { type KeptHeartbeat, applyHeartbeat, heartbeatRows } from '../../shared/fabric/heartbeat.ts';
import { type LatestRows } from '../../shared/fabric/latest-rows.ts';
import { ProgressKeeper } from '../../shared/protection/apply-progress.ts';
import { CheckInMessage } from '../../shared/wire/check-in.ts';
import { type CommandResult } from '../../shared/wire/command.ts';
import { messageEdge } from '../edge/message-edge.ts';
import { recordRecoveryPoints } from './record-recovery-points.ts';
import { services } from '../services.ts';

app.serviceBusQueue('applyCheckIn', {
  connection: 'SERVICE_BUS',
  queueName: checkInQueue,
  extraInputs: [df.input.durableClient()],
  handler: messageEdge(CheckInMessage, async (message, context) => {
    const { table } = services();
    kept ??= {
      appliances: new ApplianceCache(table),
      progress: new ProgressKeeper(table),
      heartbeats: heartbeatRows(table),
    };
    const { appliances } = kept;
    await apply(kept, await openCheckIn({ table, replicaStorage, appliances }, message), context);
  }),
});

/** What the process remembers from one check-in to the next. */
type Kept = {
  appliances: ApplianceCache;
  progress: ProgressKeeper;
  heartbeats: LatestRows<KeptHeartbeat>;
};

let kept: Kept | undefined;

/** Asked for only where a check-in went by claim check. */
function replicaStorage(): BlobServiceClient {
  return services().replicaStorage;
}

async function apply(rows: Kept, checkIn: OpenedCheckIn, context: InvocationContext): Promise<void> {
  const { table } = services();
  const { vault, applianceId, order, sentAtMs, body } = checkIn;
  const appliance = { vault, applianceId };
  switch (body.kind) {
    case 'heartbeat':
      return applyHeartbeat(rows.heartbeats, appliance, {
        order,
        sentAtMs,
        receivedAtMs: Date.now(),
        heartbeat: body,
      });
    case 'discovery':
      return applyDiscovery(table, appliance, { order, vCenterName: body.vCenterName, report: body.report });
    case 'progress':
      return rows.progress.apply(appliance, { order, sentAtMs, items: body.items });
    case 'recoveryPoint':
      return recordRecoveryPoints(df.getClient(context), {
        ...appliance,
        protectedItemId: body.protectedItemId,
      });
    case 'commandProgress':
      return applyCommandProgress(checkIn, body);
    case 'commandResult':
      return applyCommandResult(checkIn, body.result, context);
  }
}

/** Shown with the job's task. A job of another server is none of the sender's; one that is over, or gone, needs no progress. */
async function applyCommandProgress(
  { vault, applianceId }: OpenedCheckIn,
  { commandId, step, percent }: { commandId: string; step: string; percent: number },
): Promise<void> {
  const jobId = instanceOfCommand(commandId);
  try {
    await changeJob(services().table, { vault, jobId }, (job) =>
      isAboutServer(job, applianceId) ? noteProgress(job, { step, percent }) : job,
    );
  } catch (error) {
    if (!(error instanceof DomainError) || error.fault.code !== 'ResourceNotFound') throw error;
  }
}

function isAboutServer({ resource }: Job, applianceId: string): boolean {
  return resource.some(
    ([type, name]) => type === 'replicationFabrics' && sameName(name, fabricNameOf(applianceId)),
  );
}

/** The answer is kept first: should the event get lost, the orchestration finds it by itself a minute later. */
async function applyCommandResult(
  { vault, applianceId }: OpenedCheckIn,
  result: CommandResult,
  context: InvocationContext,
): Promise<void> {
  await keepCommandResult(services().table, { vault, applianceId }, result);
  const instanceId = instanceOfCommand(result.commandId);
  if (instanceId === '') return;
  try {
    await df.getClient(context).raiseEvent(instanceId, commandEvent(result.commandId), { applianceId });
  } catch {
    context.warn('An orchestration could not be told of an answer; it will look by itself.', { instanceId });
  }
}
