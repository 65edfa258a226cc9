import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { type VaultRef, vaultIdOf } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { rowKey, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';

/** Body of PUT certificates/{name}. */
export const CertificateRequest = z.object({
  properties: z.object({
    authType: z.string().max(50).nullish(),
    certificate: z.string('must be the certificate in base64').min(1).max(100_000),
  }),
});

/** What is remembered of a certificate; it is public. */
const KeptCertificate = z.object({
  name: z.string(),
  thumbprint: z.string(),
  subject: z.string(),
  validToMs: z.number(),
});

/** There is no service principal behind a certificate here: configuration servers prove themselves by keys of their own. */
const noPrincipal = '00000000-0000-0000-0000-000000000000';

/**
 * Takes the certificate that clients upload before they download vault credentials. Repeating it changes nothing.
 * @throws InvalidRequest when it is no X.509 certificate, or has expired.
 */
export async function putVaultCertificate(
  table: Table,
  vault: VaultRef,
  given: { name: string; certificate: string; tenantId: string; audience: string; nowMs: number },
) {
  const certificate = parse(given.certificate);
  const validToMs = Date.parse(certificate.validTo);
  if (validToMs <= given.nowMs) {
    throw invalid(`The certificate expired at ${new Date(validToMs).toISOString()}.`);
  }
  const thumbprint = certificate.fingerprint.replaceAll(':', '');
  const kept = { name: given.name, thumbprint, subject: certificate.subject, validToMs };
  const key = rowKey(vaultPartition(vault), 'certificates', given.name);
  await new Rows(table, KeptCertificate).upsert(key, kept);
  return {
    id: `${vaultIdOf(vault)}/certificates/${given.name}`,
    name: given.name,
    type: 'Microsoft.RecoveryServices/vaults/certificates',
    properties: {
      authType: 'AzureActiveDirectory',
      certificate: certificate.raw.toString('base64'),
      friendlyName: given.name,
      issuer: certificate.issuer,
      subject: certificate.subject,
      thumbprint,
      resourceId: 0,
      validFrom: new Date(certificate.validFrom).toISOString(),
      validTo: new Date(validToMs).toISOString(),
      aadAuthority: 'https://login.microsoftonline.com',
      aadTenantId: given.tenantId,
      servicePrincipalClientId: noPrincipal,
      servicePrincipalObjectId: noPrincipal,
      azureManagementEndpointAudience: given.audience,
      serviceResourceId: vaultIdOf(vault),
    },
  };
}

/** PowerShell sends the DER in base64, others the PEM's text in base64. */
function parse(base64: string): X509Certificate {
  try {
    return new X509Certificate(Buffer.from(base64, 'base64'));
  } catch (error) {
    throw invalid('The certificate can not be read: it is no X.509 certificate in base64.', error);
  }
}

function invalid(message: string, cause?: unknown): DomainError {
  return new DomainError(
    {
      code: 'InvalidRequest',
      armCode: 'InvalidCertificate',
      message,
      target: 'properties.certificate',
      recommendedAction: 'Send a valid X.509 certificate, DER or PEM, in base64.',
    },
    { cause },
  );
}
