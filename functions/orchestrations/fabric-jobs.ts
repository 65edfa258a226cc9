/** Jobs that ask an appliance to look at its site: adding a vCenter, refreshing the server. */
import { z } from 'zod';
import { forgetDiscovery } from '../../shared/discovery/apply-discovery.ts';
import { VCenter, findVCenter, putVCenter } from '../../shared/fabric/vcenter.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { askAppliance } from './ask-appliance.ts';
import { VaultRefSchema, jobOrchestration, runTask } from './run-job.ts';

/** A large vCenter takes minutes to list. */
const discoveryMinutes = 30;

const AddVCenter = z.object({ applianceId: z.uuid(), fabricName: z.string(), vCenter: VCenter });

const saveVCenter = activity(
  'saveVCenter',
  { input: z.object({ vault: VaultRefSchema, fabricName: z.string(), vCenter: VCenter }), output: z.void() },
  async ({ vault, fabricName, vCenter }) => {
    await putVCenter(services().table, vault, { fabricName, vCenter });
  },
);

/** Answers whether the vCenter was there before: then a failed change of it leaves what there is. */
const dropUnknownVCenter = activity(
  'dropUnknownVCenter',
  {
    input: z.object({
      vault: VaultRefSchema,
      applianceId: z.uuid(),
      fabricName: z.string(),
      vCenterName: z.string(),
    }),
    output: z.object({ known: z.boolean() }),
  },
  async ({ vault, applianceId, fabricName, vCenterName }) => {
    const { table } = services();
    if ((await findVCenter(table, vault, { fabricName, vCenterName })) !== undefined) return { known: true };
    await forgetDiscovery(table, { vault, applianceId }, vCenterName);
    return { known: false };
  },
);

jobOrchestration('discoverVCenter', AddVCenter, {
  *run(job, { applianceId, fabricName, vCenter }) {
    const { context, vault } = job;
    yield* runTask(job, 'DiscoverVCenterTask', function* () {
      yield* askAppliance(context, {
        vault,
        applianceId,
        step: 'addVCenter',
        timeoutMinutes: discoveryMinutes,
        body: {
          kind: 'addVCenter',
          vCenterName: vCenter.name,
          address: vCenter.address,
          port: vCenter.port,
          accountId: vCenter.accountId,
        },
      });
      yield* saveVCenter(context, { vault, fabricName, vCenter });
    });
  },
  *undo(job, { applianceId, fabricName, vCenter }) {
    const { context, vault } = job;
    const names = { vault, applianceId, fabricName, vCenterName: vCenter.name };
    const { known } = yield* dropUnknownVCenter(context, names);
    if (known) return;
    yield* askAppliance(context, {
      vault,
      applianceId,
      step: 'removeVCenter',
      timeoutMinutes: 5,
      body: { kind: 'removeVCenter', vCenterName: vCenter.name },
    });
    // A report that was under way when the appliance let go of the vCenter.
    yield* dropUnknownVCenter(context, names);
  },
});

jobOrchestration('refreshFabric', z.object({ applianceId: z.uuid() }), {
  *run(job, { applianceId }) {
    yield* runTask(job, 'RefreshFabricLayoutTask', function* () {
      yield* askAppliance(job.context, {
        vault: job.vault,
        applianceId,
        step: 'refresh',
        timeoutMinutes: discoveryMinutes,
        body: { kind: 'refresh' },
      });
    });
  },
});
