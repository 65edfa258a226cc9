import { z } from 'zod';

/** Body of POST replicationFabrics/{name}/renewCertificate. The only kind of certificate that the real service names. */
export const RenewCertificateBody = z.object({
  properties: z
    .object({
      renewCertificateType: z
        .literal('Cloud', { error: "must be 'Cloud'; there is no other kind here" })
        .nullish(),
    })
    .nullish(),
});
