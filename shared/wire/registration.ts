import { z } from 'zod';
import { PrerequisiteReport } from './prerequisite.ts';

/** A public key as JWK: P-256 only, so that nothing else can be smuggled in. */
export const PublicKeyJwk = z.strictObject({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string().length(43),
  y: z.string().length(43),
});
export type PublicKeyJwk = z.infer<typeof PublicKeyJwk>;

/** A compact JWS or JWE. Bounded: nothing signed here is long. */
export const CompactToken = z
  .string()
  .min(10)
  .max(64 * 1024);

/** The vault registration key: a file for the one who sets up a configuration server. Valid five days, one use. */
export const RegistrationKeyFile = z.object({
  kind: z.literal('SecondsiteVaultRegistrationKey'),
  version: z.literal(1),
  /** For the reader; what counts is in `key`. */
  vaultName: z.string().max(100),
  /** ISO 8601, UTC. */
  expiresAt: z.iso.datetime(),
  /** Compact JWS by the vault's key, claims as {@link RegistrationKeyClaims}. */
  key: CompactToken,
});
export type RegistrationKeyFile = z.infer<typeof RegistrationKeyFile>;

/** Audience of the registration key's JWS. */
export const registrationKeyAudience = 'secondsite-registration';

/** Claims of the registration key, beside `aud`, `iat` and `exp` (seconds). */
export const RegistrationKeyClaims = z.object({
  /** The key's id; the vault remembers which appliance used it. */
  jti: z.uuid(),
  /** ARM id of the vault. */
  vaultId: z.string().max(1_000),
  /** Base address of the API, e.g. https://contoso.azurewebsites.net */
  endpoint: z.url().max(1_000),
  /** PEM of the CA to trust for `endpoint` where no public CA signed its certificate (the local platform). */
  caCertificatePem: z.string().max(16_000).optional(),
  exp: z.number().int(),
});
export type RegistrationKeyClaims = z.infer<typeof RegistrationKeyClaims>;

/** What is said of the machine that the configuration server runs on. */
export const ApplianceMachine = z.object({
  hostName: z.string().min(1).max(255),
  biosId: z.string().max(64),
  ipAddress: z.string().max(64),
  osName: z.string().max(255),
  /** Secondsite's version there. */
  version: z.string().max(64),
});
export type ApplianceMachine = z.infer<typeof ApplianceMachine>;

/**
 * POST {endpoint}{vaultId}/secondsite/registrations. No bearer token: the registration key is the credential.
 * Repeating it with the same key and the same signing key gives the same answer, so a lost answer costs nothing.
 */
export const RegistrationRequest = z.object({
  /** `key` of the registration key file. */
  registrationKey: CompactToken,
  /** The configuration server's own keys, made there; the private halves never leave it. */
  signingKey: PublicKeyJwk,
  /** For what the vault seals for this appliance (ECDH-ES). */
  encryptionKey: PublicKeyJwk,
  /** Compact JWS (ES256) by `signingKey`: claims { jti: key's jti, aud: vaultId, iat: the appliance's clock, seconds }. */
  proof: CompactToken,
  machine: ApplianceMachine,
  /** What setup found the machine to be. */
  prerequisites: PrerequisiteReport.optional(),
});
export type RegistrationRequest = z.infer<typeof RegistrationRequest>;

/** The vault's answer: who the appliance is from now on. */
export const RegistrationResult = z.object({
  /** GUID of the configuration server: provider name, process server id and queue name come from it. */
  applianceId: z.uuid(),
  vaultId: z.string(),
  /** 64 hex digits, as Site Recovery names a VMware fabric. */
  fabricName: z.string(),
  /** `cloud_{applianceId}` */
  containerName: z.string(),
  /** The service's clock, so that the appliance can warn before 15 minutes are reached. */
  serverTimeMs: z.number().int(),
});
export type RegistrationResult = z.infer<typeof RegistrationResult>;

/**
 * POST {endpoint}{vaultId}/secondsite/appliances/{applianceId}/tokens. The assertion is the credential:
 * compact JWS (ES256) by the appliance's signing key, claims { iss: applianceId, aud: vaultId, iat, exp (at most
 * 5 minutes later), jti }.
 */
export const ApplianceTokenRequest = z.object({ assertion: CompactToken });
export type ApplianceTokenRequest = z.infer<typeof ApplianceTokenRequest>;

/** A container the appliance may create blobs in: neither read, overwrite nor delete. */
export const ContainerGrant = z.object({
  /** e.g. https://account.blob.core.windows.net/replica-… without a query. */
  containerUrl: z.url(),
  /** SAS query string without '?', permission create only. */
  sas: z.string(),
});
export type ContainerGrant = z.infer<typeof ContainerGrant>;

/** Short-lived grants of one appliance. Asked for again before `expiresAtMs`. */
export const ApplianceTokens = z.object({
  /** Connection string with a SharedAccessSignature: Send on `queue` only. */
  checkIns: z.object({ connectionString: z.string(), queue: z.string() }),
  /** Connection string with a SharedAccessSignature: Listen on `queue` only. */
  commands: z.object({ connectionString: z.string(), queue: z.string() }),
  /** Where check-ins over 200 KB go (claim check). */
  claimChecks: ContainerGrant,
  /** The replica logs of the items this appliance replicates. */
  replicas: z.array(z.object({ protectedItemId: z.uuid(), grant: ContainerGrant })),
  expiresAtMs: z.number().int(),
  serverTimeMs: z.number().int(),
});
export type ApplianceTokens = z.infer<typeof ApplianceTokens>;
