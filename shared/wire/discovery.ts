/**
 * What an appliance tells the control plane about the machines of a vCenter or an ESXi host.
 * A report is the whole picture at one moment: a machine that is not in it is gone (or hidden from the account).
 */
import { z } from 'zod';

/** What bounds a report: more than vSphere itself allows, so only a broken or hostile server exceeds it. */
export const DiscoveryLimits = {
  machines: 50_000,
  disks: 256,
  nics: 64,
  ipAddresses: 64,
  datastores: 256,
  /** Characters of a name; vSphere's own limit is 80, older releases and other tools let more through. */
  nameLength: 1024,
} as const;

const Name = z.string().max(DiscoveryLimits.nameLength);
const Moref = z.string().min(1).max(256);
const Uuid = z.string().regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/u);
const IpAddress = z.string().min(1).max(64);
const Count = z.int().nonnegative();

/** One virtual disk. `key` is stable for the disk's life in its machine and unique in it. */
export const DiscoveredDisk = z.object({
  /** By what everything else names the disk; unique in its machine: the backing's uuid, else 'disk-<key>'. */
  diskId: z.string().min(1).max(200),
  key: z.int(),
  /** As vSphere shows it: 'Hard disk 1'. */
  label: Name,
  capacityBytes: Count,
  /** Its logical sectors, where somebody told. vSphere does not: its virtual disks have 512 bytes. */
  sectorBytes: Count.optional(),
  /** '[datastore] folder/name.vmdk'; empty for a backing without a file. */
  backingFile: z.string().max(4096),
  /** vSphere's own uuid of the disk; a few backings have none. */
  backingUuid: z.string().min(1).max(200).optional(),
  /** vmdk: an ordinary virtual disk file; rdm: a LUN of the SAN passed through; other: anything newer than this code. */
  backing: z.enum(['vmdk', 'rdm', 'other']),
  /** Written by several machines at once, so no single machine's replication can hold it. */
  shared: z.boolean(),
  controller: z.object({
    key: z.int(),
    /** 'SCSI controller 0', or empty when the server names none. */
    label: Name,
    /** vSphere's type: ParaVirtualSCSIController, VirtualLsiLogicController, VirtualAHCIController… */
    type: z.string().max(256),
    unitNumber: z.int().optional(),
  }),
});
export type DiscoveredDisk = z.infer<typeof DiscoveredDisk>;

/** One network card, with the addresses VMware Tools reports for it. */
export const DiscoveredNic = z.object({
  key: z.int(),
  label: Name,
  /** Lower case, colons. */
  mac: z.string().max(64),
  /** The port group's name, or its key for a distributed switch that Tools gives no name of. */
  network: Name,
  connected: z.boolean(),
  ipAddresses: z.array(IpAddress).max(DiscoveryLimits.ipAddresses),
});
export type DiscoveredNic = z.infer<typeof DiscoveredNic>;

/** Site Recovery's three operating system families. */
export const OsType = z.enum(['WINDOWS', 'LINUX', 'OTHER']);
export type OsType = z.infer<typeof OsType>;

/** One virtual machine; templates are never reported. */
export const DiscoveredMachine = z.object({
  /** vSphere's id of the machine in this inventory: 'vm-42'. Changes when it is registered anew. */
  moref: Moref,
  /** What the machine sees as its SMBIOS uuid, lower case. A clone made outside vCenter can share it. */
  biosUuid: Uuid,
  /** vCenter's own uuid of the machine, unique in it. */
  instanceUuid: Uuid.optional(),
  /** As a person reads it: vSphere's escapes %2f, %5c and %25 are decoded. */
  name: Name.min(1),
  powerState: z.enum(['poweredOn', 'poweredOff', 'suspended']),
  /** connected: normal; the others: the host is away or the machine's files are. */
  connectionState: z.enum(['connected', 'disconnected', 'orphaned', 'inaccessible', 'invalid']),
  osType: OsType,
  /** vSphere's id: 'ubuntu64Guest'; what Tools sees where it runs, else what is configured. */
  guestId: z.string().max(256),
  guestFullName: Name,
  firmware: z.enum(['bios', 'efi']),
  cpus: Count,
  memoryMB: Count,
  toolsState: z.enum(['running', 'notRunning', 'executingScripts', 'notInstalled', 'unknown']),
  /** The guest's own name, known while Tools runs. */
  hostName: Name.optional(),
  /** All addresses, the primary one first. */
  ipAddresses: z.array(IpAddress).max(DiscoveryLimits.ipAddresses),
  host: z.object({ moref: Moref, name: Name }).optional(),
  /** Name of the host's cluster; none for a host that stands alone. */
  cluster: Name.optional(),
  datacenter: Name.optional(),
  /** Path of folders in the datacenter, slashes between: 'Production/Web'. None at the top and in a vApp. */
  folder: Name.optional(),
  datastores: z.array(Name).max(DiscoveryLimits.datastores),
  /** Empty for a machine without disks: it is reported, it cannot be protected. */
  disks: z.array(DiscoveredDisk).max(DiscoveryLimits.disks),
  nics: z.array(DiscoveredNic).max(DiscoveryLimits.nics),
});
export type DiscoveredMachine = z.infer<typeof DiscoveredMachine>;

/** A machine that is in the inventory and could not be described, with the reason in words. */
const MachineLeftOut = z.object({ moref: Moref, name: Name, reason: z.string().max(1024) });

/** All machines of one vCenter or ESXi host. */
export const DiscoveryReport = z.object({
  /** What the vault calls this vCenter or host. */
  vCenterName: z.string().min(1).max(200),
  /** SHA-256 of the server's certificate: 32 bytes in upper case hex, colons between. */
  fingerprint: z.string().regex(/^[0-9A-F]{2}(:[0-9A-F]{2}){31}$/u),
  apiType: z.enum(['VirtualCenter', 'HostAgent']),
  /** The server's full product name with version and build. */
  product: Name,
  version: z.string().min(1).max(64),
  /** Of the server itself; an ESXi host has none. */
  instanceUuid: z.string().min(1).max(256).optional(),
  machines: z.array(DiscoveredMachine).max(DiscoveryLimits.machines),
  leftOut: z.array(MachineLeftOut).max(DiscoveryLimits.machines),
  discoveredAtMs: Count,
});
export type DiscoveryReport = z.infer<typeof DiscoveryReport>;
