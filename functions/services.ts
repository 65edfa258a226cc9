/** The app's settings and what is made of them. The only place that reads environment variables. */
import { type TokenCredential } from '@azure/core-auth';
import { ServiceBusClient } from '@azure/service-bus';
import { BlobServiceClient } from '@azure/storage-blob';
import { z } from 'zod';
import { CallerLimit } from '../shared/access/caller-limit.ts';
import { CommandQueues } from '../shared/command/command-queue.ts';
import { RetentionTiers, defaultTiers } from '../shared/recovery/thinning.ts';
import { Table } from '../shared/store/table.ts';
import { type TargetAccess } from '../shared/target/target-environment.ts';
import { type VaultKey, openVaultKey } from '../shared/vault/vault-key.ts';
import { type Caller, bearerTokenCheck } from './edge/authenticate.ts';

const rule = z.string().regex(/^[^=]+=.+$/u, "must be 'name=key'");
const words = z.string().min(1);

const Settings = z.object({
  /** Connection string of the Service Bus namespace; its rule has Manage, Send and Listen. */
  SERVICE_BUS: words,
  /** `host:port` of the administration API where it is not the namespace's host; local only. */
  SERVICE_BUS_ADMIN_ENDPOINT: words.optional(),
  /** Namespace rules with which appliances' tokens are signed: one may only send, the other only listen. */
  APPLIANCE_SEND_RULE: rule,
  APPLIANCE_LISTEN_RULE: rule,
  /** Connection string: the control plane's table. */
  STATE_STORAGE: words,
  /** Connection string: replica logs and claim checks. */
  REPLICA_STORAGE: words,
  TOKEN_ISSUER: words,
  /** One audience or several, with commas between. */
  TOKEN_AUDIENCE: words,
  TOKEN_JWKS_URI: z.url(),
  /** `file:` and the absolute path of the vault key. */
  VAULT_KEY: words,
  /** ARM endpoint of the target subscription. */
  TARGET_RESOURCE_MANAGER: z.url().default('https://management.azure.com'),
  /** Scope of the tokens for it; the app's own identity gets them. */
  TARGET_TOKEN_SCOPE: words.default('https://management.azure.com/.default'),
  /** How long an appliance, its agents and the first bytes of a machine may each take before a job gives up. */
  APPLIANCE_WAIT_MINUTES: z.coerce.number().positive().max(10_080).default(30),
  /** How many requests a second one caller may send, per instance of the app. */
  CALLER_REQUESTS_PER_SECOND: z.coerce.number().int().positive().default(100),
  /** Which recovery points stay: `<age>=<one every>|all`, with commas between; the policy's retention bounds it. */
  RETENTION_TIERS: RetentionTiers.prefault(defaultTiers),
  /** How often an item's recovery points are thinned and its replica log compacted. */
  RETENTION_MINUTES: z.coerce.number().int().min(5).max(1_440).default(60),
  /** How many items are gone through at once. */
  RETENTION_PARALLEL_ITEMS: z.coerce.number().int().min(1).max(50).default(4),
  /** What one activity of a compaction may write at most, in MiB; one that takes too long does less by itself. */
  COMPACTION_STEP_MEGABYTES: z.coerce.number().int().min(32).max(65_536).default(1_024),
  /** How long a blob that nothing leads to any more stays, for readers that have begun. */
  COLLECTION_GRACE_MINUTES: z.coerce.number().int().min(60).max(10_080).default(120),
  /** Mail server for alerts (`smtp://` or `smtps://`) and the address they come from; without both, none are sent. */
  ALERT_SMTP_URL: z.url({ protocol: /^smtps?$/u }).optional(),
  ALERT_EMAIL_FROM: z.email().optional(),
  /** Where alerts are posted to as CloudEvents, and the secret of their signature; without both, none are. */
  ALERT_WEBHOOK_URL: z.url({ protocol: /^https?$/u }).optional(),
  ALERT_WEBHOOK_SECRET: z.string().min(16).optional(),
  /** PEM file of the CA that appliances shall trust for this API; goes into registration keys. */
  PUBLIC_CA_CERTIFICATE: words.optional(),
});
export type Settings = z.infer<typeof Settings>;

export type Services = {
  settings: Settings;
  /** All state of the control plane. */
  table: Table;
  replicaStorage: BlobServiceClient;
  /** The appliances' command queues: made, deleted, sent to. */
  commandQueues: CommandQueues;
  vaultKey: VaultKey;
  checkBearerToken(authorization: string | null): Promise<Caller>;
  /** Keeps one caller from taking everything. */
  callerLimit: CallerLimit;
  /** How the target subscription is asked. */
  targetAccess: () => Promise<TargetAccess>;
};

/** Name of the one table. */
const tableName = 'secondsite';

let made: Services | undefined;

/** The app's services, made at first use, each when it is first needed. @throws Error naming the wrong settings. */
export function services(): Services {
  made ??= makeServices(readSettings(process.env));
  return made;
}

function readSettings(environment: NodeJS.ProcessEnv): Settings {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const parsed = Settings.safeParse(given);
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new Error(`Settings of the function app are missing or wrong: ${wrong.join('; ')}.`);
}

function makeServices(settings: Settings): Services {
  const checkBearerToken = bearerTokenCheck({
    issuer: settings.TOKEN_ISSUER,
    audiences: settings.TOKEN_AUDIENCE.split(','),
    jwksUri: settings.TOKEN_JWKS_URI,
  });
  const replicaStorage = once(() =>
    BlobServiceClient.fromConnectionString(settings.REPLICA_STORAGE, storageRetries),
  );
  const vaultKey = once(() => openVaultKey(settings.VAULT_KEY));
  const commandQueues = once(
    () =>
      new CommandQueues({
        connectionString: settings.SERVICE_BUS,
        adminEndpoint: settings.SERVICE_BUS_ADMIN_ENDPOINT,
        client: new ServiceBusClient(settings.SERVICE_BUS, {
          retryOptions: { maxRetries: 2, timeoutInMs: 15_000 },
        }),
      }),
  );
  let credential: TokenCredential | undefined;
  return {
    settings,
    targetAccess: async () => {
      // Imported when it is first needed: it is slow to load.
      const { DefaultAzureCredential } = await import('@azure/identity');
      credential ??= new DefaultAzureCredential();
      return {
        endpoint: settings.TARGET_RESOURCE_MANAGER,
        scope: settings.TARGET_TOKEN_SCOPE,
        credential,
      };
    },
    table: new Table(settings.STATE_STORAGE, tableName),
    checkBearerToken,
    callerLimit: new CallerLimit(settings.CALLER_REQUESTS_PER_SECOND),
    get replicaStorage() {
      return replicaStorage();
    },
    get vaultKey() {
      return vaultKey();
    },
    get commandQueues() {
      return commandQueues();
    },
  };
}

const storageRetries = { retryOptions: { maxTries: 3, retryDelayInMs: 200, maxRetryDelayInMs: 1_000 } };

function once<T>(make: () => T): () => T {
  let value: { made: T } | undefined;
  return () => (value ??= { made: make() }).made;
}
