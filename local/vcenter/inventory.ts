import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { GiB, MiB } from '../../shared/bytes.ts';

const maxFileBytes = 64 * MiB;

const Disk = z.object({
  /** Stable in the machine; 2000, 2001… in order when left out. */
  key: z.int().positive().optional(),
  label: z.string().min(1).max(80).optional(),
  /** Left out: the image's size. */
  capacityBytes: z
    .int()
    .positive()
    .multipleOf(512)
    .max(62 * 1024 * GiB)
    .optional(),
  /** vSphere's uuid of the disk: '6000C29a-…'. */
  uuid: z.string().min(1).max(64).optional(),
  /** A raw image with the disk's content, relative to the inventory file. vSphere doesn't serve it; the demo's agents read it. */
  image: z.string().min(1).optional(),
});

const Nic = z.object({
  mac: z.string().regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/iu),
  network: z.string().min(1).max(80).default('VM Network'),
  connected: z.boolean().default(true),
  /** What VMware Tools in the guest reports. */
  ipAddresses: z
    .array(z.union([z.ipv4(), z.ipv6()]))
    .max(16)
    .default([]),
});

const Machine = z.object({
  /** As a person reads it; slashes and percent signs are escaped on the wire as vSphere does. */
  name: z.string().min(1).max(1000),
  biosUuid: z.guid(),
  instanceUuid: z.guid().optional(),
  /** 'vm-42'; made from the uuid when left out, so that it stays when the file changes. */
  moref: z
    .string()
    .regex(/^[\w-]{1,64}$/u)
    .optional(),
  powerState: z.enum(['poweredOn', 'poweredOff', 'suspended']).default('poweredOn'),
  /** inaccessible and its like: the machine is listed without configuration, as vSphere does. */
  connectionState: z
    .enum(['connected', 'disconnected', 'orphaned', 'inaccessible', 'invalid'])
    .default('connected'),
  guestId: z.string().min(1).max(64).default('otherGuest64'),
  firmware: z.enum(['bios', 'efi']).default('bios'),
  cpus: z.int().positive().max(768).default(2),
  memoryMB: z.int().positive().default(2048),
  template: z.boolean().default(false),
  /** Path of folders below the datacenter's: 'Production/Web'. Slashes in a folder's own name can't be told here. */
  folder: z.string().min(1).max(800).optional(),
  /** The guest's own name; with it VMware Tools count as running in a machine that is on. */
  hostName: z.string().min(1).max(255).optional(),
  /** What the account may: read everything, only list it, or not see it. */
  access: z.enum(['read', 'list', 'none']).default('read'),
  nics: z.array(Nic).max(10).default([]),
  disks: z.array(Disk).max(256).default([]),
});

/** The inventory file of the local vCenter: what is in it and who may log in. */
export const VCenterInventory = z.object({
  name: z.string().min(1).max(80),
  apiType: z.enum(['VirtualCenter', 'HostAgent']).default('VirtualCenter'),
  account: z.object({
    user: z.string().min(1),
    password: z.string().min(1),
    /** none: the login is refused for want of any role, as vCenter does. */
    access: z.enum(['read', 'none']).default('read'),
  }),
  /** May log in too, sees everything and may change roles and permissions. */
  administrator: z.object({ user: z.string().min(1), password: z.string().min(1) }).optional(),
  datacenter: z.string().min(1).max(80).default('Datacenter'),
  host: z.string().min(1).max(80).default('esx1.local'),
  /** The cluster that the host belongs to; left out, it stands alone. */
  cluster: z.string().min(1).max(80).optional(),
  datastore: z.string().min(1).max(80).default('datastore1'),
  machines: z.array(Machine).max(50_000),
});
/** What is written to the file. */
export type VCenterInventory = z.input<typeof VCenterInventory>;

type InventoryDisk = z.output<typeof Disk> & { key: number; label: string; capacityBytes: number };
export type InventoryMachine = Omit<z.output<typeof Machine>, 'disks' | 'moref'> & {
  moref: string;
  disks: InventoryDisk[];
};
/** The file as read, with everything filled in that may be left out. */
export type Inventory = Omit<z.output<typeof VCenterInventory>, 'machines'> & {
  machines: InventoryMachine[];
};

/**
 * Reads an inventory file once.
 *
 * @throws Error that names the file and what is wrong in it.
 */
async function readInventory(path: string): Promise<Inventory> {
  try {
    const { size } = await stat(path);
    if (size > maxFileBytes) throw new Error(`it is larger than ${maxFileBytes / MiB} MiB`);
    const parsed = VCenterInventory.safeParse(JSON.parse(await readFile(path, 'utf8')));
    if (!parsed.success) throw new Error(z.prettifyError(parsed.error));
    const machines: InventoryMachine[] = [];
    for (const machine of parsed.data.machines) machines.push(await fillIn(machine, dirname(path)));
    refuseDuplicates(machines);
    return { ...parsed.data, machines };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`The inventory file ${path} cannot be used: ${reason}`, { cause: error });
  }
}

async function fillIn(machine: z.output<typeof Machine>, folder: string): Promise<InventoryMachine> {
  const disks: InventoryDisk[] = [];
  for (const [index, disk] of machine.disks.entries()) {
    disks.push({
      ...disk,
      key: disk.key ?? 2000 + index,
      label: disk.label ?? `Hard disk ${index + 1}`,
      capacityBytes: await capacityOf(disk, machine.name, folder),
    });
  }
  return { ...machine, moref: machine.moref ?? morefOf(machine.instanceUuid ?? machine.biosUuid), disks };
}

async function capacityOf(disk: z.output<typeof Disk>, machine: string, folder: string): Promise<number> {
  if (disk.image === undefined) {
    if (disk.capacityBytes !== undefined) return disk.capacityBytes;
    throw new Error(`a disk of '${machine}' has neither capacityBytes nor an image`);
  }
  const path = resolve(folder, disk.image);
  const { size } = await stat(path);
  if (size === 0 || size % 512 !== 0) {
    throw new Error(`the disk image ${path} has ${size} bytes; a disk is a multiple of 512 and not empty`);
  }
  if (disk.capacityBytes !== undefined && disk.capacityBytes !== size) {
    throw new Error(`the disk image ${path} has ${size} bytes, its capacityBytes says ${disk.capacityBytes}`);
  }
  return size;
}

/** An id like vCenter's, from the machine's uuid. */
function morefOf(uuid: string): string {
  return `vm-${createHash('sha256').update(uuid.toLowerCase()).digest().readUIntBE(0, 6)}`;
}

function refuseDuplicates(machines: readonly InventoryMachine[]): void {
  const seen = new Set<string>();
  for (const { moref, name, disks } of machines) {
    if (seen.has(moref)) throw new Error(`'${name}' has the moref or the instanceUuid of another machine`);
    seen.add(moref);
    if (new Set(disks.map(({ key }) => key)).size < disks.length) {
      throw new Error(`two disks of '${name}' have the same key`);
    }
  }
}

/** An inventory file that is read again when it has changed. */
export class InventoryFile {
  readonly #path: string;
  readonly #onProblem: (message: string) => void;
  #inventory: Inventory;
  #version: string;

  private constructor(
    path: string,
    read: { inventory: Inventory; version: string },
    onProblem: (m: string) => void,
  ) {
    this.#path = path;
    this.#inventory = read.inventory;
    this.#version = read.version;
    this.#onProblem = onProblem;
  }

  /** @throws Error when the file cannot be used. */
  static async open(path: string, onProblem: (message: string) => void): Promise<InventoryFile> {
    const version = await versionOf(path);
    return new InventoryFile(path, { inventory: await readInventory(path), version }, onProblem);
  }

  /** The file's present content; while it cannot be used (half written, say), its last good one. */
  async current(): Promise<Inventory> {
    const version = await versionOf(this.#path);
    if (version === this.#version) return this.#inventory;
    this.#version = version;
    try {
      this.#inventory = await readInventory(this.#path);
    } catch (error) {
      this.#onProblem(error instanceof Error ? error.message : String(error));
    }
    return this.#inventory;
  }
}

/** Differs when the file was written or replaced. */
async function versionOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${ino}-${size}-${mtimeNs}`;
  } catch {
    return 'absent';
  }
}
