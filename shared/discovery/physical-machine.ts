/**
 * Physical machines: nobody lists them, so a person names each by its address. What else there is to know of one is told
 * by its mobility agent, once that is enrolled at the configuration server by hand.
 */
import { z } from 'zod';
import { sameName } from '../arm/resource-id.ts';
import { containerNameOf, fabricNameOf } from '../fabric/appliance.ts';
import { type ApplianceRef } from '../fabric/appliance-item.ts';
import { type KeptHeartbeat, findHeartbeat } from '../fabric/heartbeat.ts';
import { DomainError } from '../fault.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { uuidV5 } from '../uuid.ts';
import { type DiscoveredMachine, OsType } from '../wire/discovery.ts';
import { type AgentStatus } from '../wire/check-in.ts';
import { KeptMachine, getMachine, machineKey, machineRange, unknownBiosUuid } from './machine.ts';

/** An address as agents' connections show it: without leading zeros, IPv6 in its shortest form. */
const Address = z
  .string()
  .max(64)
  .transform((text) => text.trim())
  .pipe(z.union([z.ipv4(), z.ipv6()], 'must be an IPv4 or IPv6 address of the machine'))
  .transform((text) => (text.includes(':') ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text));

/** A machine as a person names it. */
export const PhysicalMachine = z.object({
  friendlyName: z
    .string()
    .trim()
    .min(1)
    .max(255)
    // eslint-disable-next-line no-control-regex -- names with line breaks would break logs and tables
    .regex(/^[^\u0000-\u001f\u007f]*$/u, 'must have no control characters'),
  ipAddress: Address,
  /** WINDOWS, LINUX or OTHER, in any case. */
  osType: z
    .string()
    .transform((text) => text.toUpperCase())
    .pipe(OsType),
});
export type PhysicalMachine = z.infer<typeof PhysicalMachine>;

/** Body of POST {container}/discoverProtectableItem. */
export const DiscoverProtectableItemBody = z.object({ properties: PhysicalMachine });

/** Name of the machine's protectable item: an address is one machine, so naming it twice makes no second one. */
export function physicalItemNameOf(applianceId: string, ipAddress: string): string {
  return uuidV5(applianceId, `physical/${ipAddress}`);
}

/**
 * Refuses a machine that the configuration server knows already.
 * @throws Conflict
 */
export async function refuseKnownMachine(
  table: Table,
  { vault, applianceId }: ApplianceRef,
  wanted: PhysicalMachine,
): Promise<void> {
  const rows = await new Rows(table, KeptMachine).all(machineRange(vault, applianceId));
  for (const { value: kept } of rows) {
    if (kept.machine.ipAddresses.includes(wanted.ipAddress)) throw knownAddress(kept, wanted);
    if (kept.isPhysical === true && sameName(kept.machine.name, wanted.friendlyName)) {
      throw conflict(
        `There is a physical machine '${kept.machine.name}' already, at ${kept.machine.ipAddresses.join(', ')}.`,
        'Choose another friendlyName, or delete that machine first.',
      );
    }
  }
}

function knownAddress(kept: KeptMachine, wanted: PhysicalMachine): DomainError {
  if (kept.isPhysical === true) {
    return conflict(
      `The address ${wanted.ipAddress} is that of the physical machine '${kept.machine.name}' already.`,
      'Use that protectable item, or delete it first.',
    );
  }
  return conflict(
    `The address ${wanted.ipAddress} is that of '${kept.machine.name}', a machine of the vCenter server '${kept.vCenterName}'.`,
    'Protect the machine that the vCenter server lists.',
  );
}

/** Writes the machine's row unless it is there. */
export async function addPhysicalMachine(
  table: Table,
  { vault, applianceId }: ApplianceRef,
  wanted: PhysicalMachine,
): Promise<void> {
  const itemName = physicalItemNameOf(applianceId, wanted.ipAddress);
  const names = namesOf(applianceId, itemName);
  await new Rows(table, KeptMachine).update(machineKey(vault, names), (kept) =>
    kept === undefined ? physicalRow(itemName, wanted) : undefined,
  );
}

/**
 * Forgets a physical machine; one that is not there is as good as forgotten.
 * @throws Conflict while it is protected; InvalidRequest for a machine of a vCenter server.
 */
export async function deletePhysicalMachine(
  table: Table,
  { vault, applianceId }: ApplianceRef,
  itemName: string,
): Promise<void> {
  const rows = new Rows(table, KeptMachine);
  const key = machineKey(vault, namesOf(applianceId, itemName));
  const row = await rows.find(key);
  if (row === undefined) return;
  const { machine, isPhysical, protectedBy, vCenterName } = row.value;
  if (isPhysical !== true) {
    throw new DomainError({
      code: 'InvalidRequest',
      message: `'${machine.name}' is a machine of the vCenter server '${vCenterName}', which lists it.`,
      target: 'protectableItemName',
      recommendedAction: 'Delete the vCenter server, or the machine there.',
    });
  }
  if (protectedBy !== undefined) {
    throw conflict(
      `The machine '${machine.name}' is protected by '${protectedBy}'.`,
      'Disable its replication first.',
    );
  }
  // Under its ETag: a machine that is being protected just now must not go.
  await rows.delete(key, row.etag);
}

/** A machine as it is now: of a physical one that is what its agent told last. */
export function seenNow(kept: KeptMachine, heartbeat: KeptHeartbeat | undefined): KeptMachine {
  if (kept.isPhysical !== true) return kept;
  const agent = agentOf(kept, heartbeat);
  return agent === undefined ? kept : { ...kept, machine: withAgent(kept.machine, agent) };
}

/** Like {@link getMachine}, as it is now. @throws ResourceNotFound */
export async function getMachineNow(
  table: Table,
  { vault, applianceId }: ApplianceRef,
  protectableItemName: string,
): Promise<KeptMachine> {
  const { value } = await getMachine(table, vault, namesOf(applianceId, protectableItemName));
  return value.isPhysical === true
    ? seenNow(value, await findHeartbeat(table, { vault, applianceId }))
    : value;
}

/** The one agent at a physical machine's address; where several come from there, none is taken for it. */
function agentOf(kept: KeptMachine, heartbeat: KeptHeartbeat | undefined): AgentStatus | undefined {
  const [agent, ...others] = (heartbeat?.heartbeat.agents ?? []).filter(({ ipAddress }) =>
    kept.machine.ipAddresses.includes(plainAddress(ipAddress)),
  );
  return others.length === 0 ? agent : undefined;
}

/** An IPv4 address that a socket for both families shows as IPv6. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/iu, '');
}

function withAgent(machine: DiscoveredMachine, agent: AgentStatus): DiscoveredMachine {
  const { hardware, disks = [] } = agent;
  return {
    ...machine,
    biosUuid: agent.biosUuid.toLowerCase(),
    guestFullName: agent.osName,
    hostName: agent.hostName,
    ...(hardware !== undefined && {
      firmware: hardware.firmware,
      cpus: hardware.cpus,
      memoryMB: hardware.memoryMB,
      nics: hardware.nics.map(({ mac, ipAddress }, key) => ({
        key,
        label: '',
        mac,
        network: '',
        connected: true,
        ipAddresses: [ipAddress],
      })),
    }),
    disks: disks.map(({ diskId, sizeBytes, sectorBytes }, key) => ({
      diskId,
      ...(sectorBytes !== undefined && { sectorBytes }),
      key,
      label: diskId,
      capacityBytes: sizeBytes,
      backingFile: '',
      backing: 'other',
      shared: false,
      controller: { key: 0, label: '', type: '' },
    })),
  };
}

function physicalRow(itemName: string, { friendlyName, ipAddress, osType }: PhysicalMachine): KeptMachine {
  return {
    itemName,
    isPhysical: true,
    vCenterName: '',
    sharesBiosUuid: false,
    machine: {
      moref: itemName,
      biosUuid: unknownBiosUuid,
      name: friendlyName,
      powerState: 'poweredOn',
      connectionState: 'connected',
      osType,
      guestId: '',
      guestFullName: '',
      firmware: 'bios',
      cpus: 0,
      memoryMB: 0,
      toolsState: 'unknown',
      ipAddresses: [ipAddress],
      datastores: [],
      disks: [],
      nics: [],
    },
  };
}

function namesOf(applianceId: string, protectableItemName: string) {
  return {
    fabricName: fabricNameOf(applianceId),
    containerName: containerNameOf(applianceId),
    protectableItemName,
  };
}

function conflict(message: string, recommendedAction: string): DomainError {
  return new DomainError({ code: 'Conflict', message, target: 'properties.ipAddress', recommendedAction });
}
