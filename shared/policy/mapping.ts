import { z } from 'zod';
import { armResource } from '../arm/resource.ts';
import { type ChildPath, type VaultRef, childIdOf, sameName } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { azureContainerId } from '../wire/arm-policy.ts';
import { type Policy, policyPath } from './policy.ts';

/** A policy associated with a configuration server's container. */
export const Mapping = z.object({
  name: z.string(),
  fabricName: z.string(),
  containerName: z.string(),
  policyName: z.string(),
  /** toAzure: protection; toSite: failback into the same container. */
  direction: z.enum(['toAzure', 'toSite']),
  /** Made by us with the failback twin; who maps the twin himself takes its place. */
  automatic: z.boolean(),
  createdAtMs: z.number(),
  /** Somebody removes it: no machine may begin to use it any more. */
  removing: z.boolean().optional(),
});
export type Mapping = z.infer<typeof Mapping>;

/** Which container: its fabric's name and its own. */
export interface ContainerNames {
  fabricName: string;
  containerName: string;
}

/**
 * Which way a mapping leads, from its policy and target.
 * @throws InvalidRequest when policy and target do not fit.
 */
export function directionOf(
  policy: Policy,
  target: { id: string; containerId: string },
): Mapping['direction'] {
  const toAzure = sameName(target.id, azureContainerId);
  if (policy.instanceType === 'InMageAzureV2' && toAzure) return 'toAzure';
  if (policy.instanceType === 'InMage' && sameName(target.id, target.containerId)) return 'toSite';
  throw new DomainError({
    code: 'InvalidRequest',
    message: `The policy '${policy.name}' (${policy.instanceType}) can not lead to '${target.id.slice(0, 200)}'.`,
    target: 'properties.targetProtectionContainerId',
    recommendedAction:
      policy.instanceType === 'InMage'
        ? 'A failback policy leads back into the same protection container: send its id.'
        : `A policy for VMware to Azure leads to '${azureContainerId}': send exactly these words.`,
  });
}

/** @throws Conflict: a policy is mapped to a container only once. */
export function checkMappedOnce(wanted: Mapping, existing: readonly Mapping[]): void {
  const other = existing.find(
    (mapping) => sameName(mapping.policyName, wanted.policyName) && !sameName(mapping.name, wanted.name),
  );
  if (other === undefined || other.automatic) return;
  throw new DomainError({
    code: 'Conflict',
    message: `The policy '${wanted.policyName}' is associated with this configuration server already, as '${other.name}'.`,
    target: wanted.name,
    recommendedAction: 'Use the existing association.',
  });
}

/** Whether two mappings say the same. */
export function sameMapping(left: Mapping, right: Mapping): boolean {
  return sameName(left.policyName, right.policyName) && left.direction === right.direction;
}

export function mappingPath(mapping: ContainerNames & { name: string }): ChildPath {
  return [
    ['replicationFabrics', mapping.fabricName],
    ['replicationProtectionContainers', mapping.containerName],
    ['replicationProtectionContainerMappings', mapping.name],
  ];
}

/** A mapping as ARM answers it; `serverName` is the configuration server's. */
export function mappingAnswer(vault: VaultRef, mapping: Mapping, serverName: string) {
  const containerId = childIdOf(vault, mappingPath(mapping).slice(0, 2));
  const toAzure = mapping.direction === 'toAzure';
  return armResource(vault, mappingPath(mapping), {
    targetProtectionContainerId: toAzure ? azureContainerId : containerId,
    targetProtectionContainerFriendlyName: toAzure ? azureContainerId : serverName,
    providerSpecificDetails: null,
    health: 'Normal',
    healthErrorDetails: [],
    policyId: childIdOf(vault, policyPath(mapping.policyName)),
    state: mapping.removing === true ? 'Unpairing' : 'Paired',
    sourceProtectionContainerFriendlyName: serverName,
    sourceFabricFriendlyName: serverName,
    targetFabricFriendlyName: toAzure ? azureContainerId : serverName,
    policyFriendlyName: mapping.policyName,
  });
}
