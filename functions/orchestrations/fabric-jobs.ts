/** Jobs that ask an appliance to look at its site: adding a vCenter, refreshing the server. */
import { z } from 'zod';
import { VCenter } from '../../shared/fabric/vcenter.ts';
import { dropUnknownVCenter, saveVCenter } from '../activities/vcenter.ts';
import { askAppliance } from './ask-appliance.ts';
import { jobOrchestration, runTask } from './run-job.ts';

/** A large vCenter takes minutes to list. */
const discoveryMinutes = 30;

const AddVCenter = z.object({ applianceId: z.uuid(), fabricName: z.string(), vCenter: VCenter });

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
