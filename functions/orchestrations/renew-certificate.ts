/** The job that renews the certificate of a process server. */
import { z } from 'zod';
import { askAppliance } from './ask-appliance.ts';
import { jobOrchestration, noteJob, runTask } from './run-job.ts';

/** Orchestration's name. */
export const renewCertificate = 'renewServerCertificate';

export const RenewCertificateInput = z.object({
  applianceId: z.uuid(),
  /** How long the configuration server may take. */
  waitMinutes: z.number().positive(),
});

jobOrchestration(renewCertificate, RenewCertificateInput, {
  *run(job, { applianceId, waitMinutes }) {
    yield* runTask(job, 'RenewFabricCertificateTask', function* () {
      const { certificateExpiresAtMs } = yield* askAppliance(job.context, {
        vault: job.vault,
        applianceId,
        step: 'renewCertificate',
        timeoutMinutes: waitMinutes,
        body: { kind: 'renewCertificate' },
      });
      if (certificateExpiresAtMs === undefined) return;
      yield* noteJob(job, { certificateExpiryDate: new Date(certificateExpiresAtMs).toISOString() });
    });
  },
});
