/** Short-lived grants of an appliance, in return for an assertion signed with its key. */
import {
  type BlobServiceClient,
  type ContainerClient,
  ContainerSASPermissions,
  StorageSharedKeyCredential,
  generateBlobSASQueryParameters,
} from '@azure/storage-blob';
import { z } from 'zod';
import { type VaultRef, vaultIdOf } from '../arm/resource-id.ts';
import { commandQueueName } from '../command/command-queue.ts';
import { equalInConstantTime } from '../constant-time.ts';
import { storageFault } from '../store/storage-fault.ts';
import { type Table } from '../store/table.ts';
import { type ApplianceTokens, type ContainerGrant } from '../wire/registration.ts';
import { findAppliance } from './appliance.ts';
import { listApplianceItems } from './appliance-item.ts';
import { type SharedAccessRule, queueConnectionString } from './service-bus-grant.ts';
import { authenticationFailed, refuseClockSkew, verifiedClaims } from './signed-claims.ts';

/** Queue of all check-ins. */
export const checkInQueue = 'agent-checkins';
/** Container of check-ins that are too large for a message. */
export const claimCheckContainer = 'claim-checks';

const validForMs = 60 * 60_000;
/** An assertion may be used for this long, on top of what clocks may differ by. */
const assertionForSeconds = 5 * 60;

const Assertion = z.object({
  iss: z.string(),
  aud: z.string(),
  iat: z.number(),
  exp: z.number(),
  jti: z.string(),
});

/** Name of the container that holds a protected item's replica log. */
export function replicaContainerName(protectedItemId: string): string {
  return `replica-${protectedItemId.toLowerCase()}`;
}

/**
 * Grants an appliance what it needs for an hour: send on the check-in queue, listen on its own queue, create blobs in
 * the claim-check container and in those of its items.
 * @throws AuthenticationFailed, ClockSkew, Unavailable
 */
export async function grantApplianceTokens(
  services: {
    table: Table;
    replicaStorage: BlobServiceClient;
    serviceBus: string;
    sendRule: SharedAccessRule;
    listenRule: SharedAccessRule;
  },
  appliance: { vault: VaultRef; applianceId: string },
  assertion: string,
): Promise<ApplianceTokens> {
  const nowMs = Date.now();
  await checkAssertion(services.table, appliance, { assertion, nowMs });
  const expiresAtMs = nowMs + validForMs;
  const commands = commandQueueName(appliance.applianceId);
  const items = await listApplianceItems(services.table, appliance);
  const claimChecks = services.replicaStorage.getContainerClient(claimCheckContainer);
  await ensureContainer(claimChecks);
  return {
    checkIns: {
      queue: checkInQueue,
      connectionString: queueConnectionString(services.serviceBus, services.sendRule, {
        queue: checkInQueue,
        expiresAtMs,
      }),
    },
    commands: {
      queue: commands,
      connectionString: queueConnectionString(services.serviceBus, services.listenRule, {
        queue: commands,
        expiresAtMs,
      }),
    },
    claimChecks: containerGrant(claimChecks, expiresAtMs),
    replicas: items.map(({ protectedItemId }) => ({
      protectedItemId,
      grant: containerGrant(
        services.replicaStorage.getContainerClient(replicaContainerName(protectedItemId)),
        expiresAtMs,
      ),
    })),
    expiresAtMs,
    serverTimeMs: nowMs,
  };
}

async function checkAssertion(
  table: Table,
  { vault, applianceId }: { vault: VaultRef; applianceId: string },
  given: { assertion: string; nowMs: number },
): Promise<void> {
  const appliance = await findAppliance(table, vault, applianceId);
  if (appliance === undefined) throw authenticationFailed('The vault does not know this appliance.');
  const claims = await verifiedClaims(given.assertion, appliance.signingKey, {
    schema: Assertion,
    what: "The appliance's assertion",
  });
  const fits =
    equalInConstantTime(claims.iss.toLowerCase(), appliance.applianceId) &&
    equalInConstantTime(claims.aud.toLowerCase(), vaultIdOf(vault).toLowerCase());
  if (!fits) throw authenticationFailed("The appliance's assertion is for another vault or appliance.");
  refuseClockSkew(claims.iat * 1_000, given.nowMs);
  if (claims.exp <= claims.iat || claims.exp - claims.iat > assertionForSeconds) {
    throw authenticationFailed(
      "The appliance's assertion must expire at most five minutes after it was made.",
    );
  }
}

async function ensureContainer(container: ContainerClient): Promise<void> {
  try {
    await container.createIfNotExists();
  } catch (error) {
    throw storageFault(error, `The container '${container.containerName}'`);
  }
}

/** Create only: neither read, overwrite, list nor delete. */
function containerGrant(container: ContainerClient, expiresAtMs: number): ContainerGrant {
  const { credential } = container;
  if (!(credential instanceof StorageSharedKeyCredential)) {
    throw new Error('The setting REPLICA_STORAGE must be a connection string with an account key.');
  }
  const sas = generateBlobSASQueryParameters(
    {
      containerName: container.containerName,
      permissions: ContainerSASPermissions.parse('c'),
      expiresOn: new Date(expiresAtMs),
    },
    credential,
  );
  return { containerUrl: container.url, sas: sas.toString() };
}
