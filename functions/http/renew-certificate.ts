import { type z } from 'zod';
import { fabricPath } from '../../shared/fabric/appliance.ts';
import { RenewCertificateBody } from '../../shared/wire/arm-fabric.ts';
import { httpOperation } from '../edge/http-edge.ts';
import { fabricRoute } from '../edge/route.ts';
import { startJob } from '../edge/start-job.ts';
import { type RenewCertificateInput, renewCertificate } from '../orchestrations/renew-certificate.ts';
import { services } from '../services.ts';
import { fabricOf } from './fabric-of.ts';

/** What is ours to renew: the certificate of the port that agents come in at. */
httpOperation(
  'renewFabricCertificate',
  { method: 'POST', route: `${fabricRoute}/renewCertificate`, durable: true },
  async (call) => {
    const { vault, appliance } = await fabricOf(call.params);
    await call.json(RenewCertificateBody);
    const { applianceId, machine } = appliance;
    return startJob(call, {
      vault,
      orchestration: renewCertificate,
      scenario: 'RenewFabricCertificate',
      target: { id: applianceId, name: machine.hostName },
      resource: fabricPath(applianceId),
      input: {
        applianceId,
        waitMinutes: services().settings.APPLIANCE_WAIT_MINUTES,
      } satisfies z.infer<typeof RenewCertificateInput>,
    });
  },
);
