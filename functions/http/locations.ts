/** What is asked of the provider in a location, before there is a vault. */
import { z } from 'zod';
import { DomainError } from '../../shared/fault.ts';
import { VaultStore } from '../../shared/vault/vault.ts';
import { checkVaultName } from '../../shared/vault/vault-name.ts';
import { httpOperation } from '../edge/http-edge.ts';
import { services } from '../services.ts';

const locations = 'providers/Microsoft.RecoveryServices/locations/{location}';

const NameQuestion = z.object({ type: z.string().max(200).optional(), name: z.string().max(300) });

const CapabilitiesQuestion = z.object({
  type: z.string().max(200).optional(),
  properties: z
    .object({
      dnsZones: z
        .array(z.object({ subResource: z.string().max(100) }))
        .max(20)
        .nullish(),
    })
    .nullish(),
});

httpOperation(
  'checkNameAvailability',
  {
    method: 'POST',
    route: `subscriptions/{subscriptionId}/resourceGroups/{resourceGroup}/${locations}/checkNameAvailability`,
  },
  async (call) => {
    const { name } = await call.json(NameQuestion);
    const { subscriptionId, resourceGroup } = call.params;
    const invalid = whyInvalid(name);
    if (invalid !== undefined) return available('Invalid', invalid);
    const known = await new VaultStore(services().table).find({
      subscriptionId,
      resourceGroup,
      vaultName: name,
    });
    if (known === undefined) return available();
    return available('AlreadyExists', `The resource group '${resourceGroup}' has a vault '${name}' already.`);
  },
);

/** Private endpoints are not offered, so no DNS zone is needed for any of them. */
httpOperation(
  'getCapabilities',
  { method: 'POST', route: `subscriptions/{subscriptionId}/${locations}/capabilities` },
  async (call) => {
    const { type, properties } = await call.json(CapabilitiesQuestion);
    const dnsZones = (properties?.dnsZones ?? []).map(({ subResource }) => ({
      subResource,
      requiredZoneNames: [],
    }));
    return {
      status: 200,
      body: { type: type ?? 'Microsoft.RecoveryServices/Vaults', properties: { dnsZones } },
    };
  },
);

function available(reason?: 'Invalid' | 'AlreadyExists', message?: string) {
  return {
    status: 200,
    body: { nameAvailable: reason === undefined, reason: reason ?? null, message: message ?? null },
  };
}

function whyInvalid(name: string): string | undefined {
  try {
    checkVaultName(name);
    return undefined;
  } catch (error) {
    if (error instanceof DomainError) return [error.message, error.fault.recommendedAction].join(' ');
    throw error;
  }
}
