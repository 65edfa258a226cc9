import { DiscoveryLimits, DiscoveryReport } from '../../../shared/wire/discovery.ts';
import type { VSphereClient } from './client.ts';
import { machineProperties, readMachine, type MachineReading } from './machine.ts';
import type { ObjectContent } from './object-content.ts';
import { Places } from './places.ts';
import { VSphereError } from './vsphere-error.ts';

const itself = 'It is the appliance itself, which can’t replicate itself';
const Header = DiscoveryReport.omit({ machines: true, leftOut: true });

/**
 * All machines of one vCenter as they were last read, kept up to date change by change. What counts is the machine's id
 * in the inventory; a machine that is registered anew has a new one, and whose it is stands in its uuids.
 */
export class Picture {
  readonly #client: VSphereClient;
  /** SMBIOS uuid of the machine that this runs on, in both forms that it is written in. */
  readonly #own: ReadonlySet<string>;
  readonly #readings = new Map<string, MachineReading>();
  #places = new Places();
  #newPlace = false;

  private constructor(client: VSphereClient, ownBiosUuid: string | undefined) {
    this.#client = client;
    this.#own = new Set(ownBiosUuid === undefined ? [] : bothForms(ownBiosUuid.toLowerCase()));
  }

  /**
   * Reads everything the account may see.
   *
   * @throws VSphereError Unreachable, NoPermission, BadAnswer, SessionEnded, ServerFault.
   */
  static async read(client: VSphereClient, ownBiosUuid?: string): Promise<Picture> {
    const picture = new Picture(client, ownBiosUuid);
    picture.#places = await Places.read(client);
    await client.collect({ VirtualMachine: machineProperties }, (object) => picture.#take(object));
    return picture;
  }

  /**
   * Reads some machines again; those that are gone meanwhile are left to the change that says so.
   *
   * @throws VSphereError as {@link read}
   */
  async readAgain(morefs: readonly string[]): Promise<void> {
    const objects: ObjectContent[] = [];
    this.#newPlace = false;
    for (const moref of morefs) {
      const object = await this.#find(moref);
      if (object !== undefined) objects.push(object);
    }
    for (const object of objects) this.#take(object);
    if (!this.#newPlace) return;
    // a host, folder, datastore or network that was not there before
    this.#places = await Places.read(this.#client);
    for (const object of objects) this.#take(object);
  }

  forget(moref: string): void {
    this.#readings.delete(moref);
  }

  /** The whole picture as it is told to the vault, machines in the order of their ids. @throws VSphereError BadAnswer */
  report(vCenterName: string, discoveredAtMs: number): DiscoveryReport {
    const { about, fingerprint, address } = this.#client;
    const header = Header.safeParse({
      vCenterName,
      fingerprint,
      apiType: about.apiType,
      product: about.product.slice(0, DiscoveryLimits.nameLength),
      version: about.version,
      instanceUuid: about.instanceUuid,
      discoveredAtMs,
    });
    if (!header.success) {
      const where = header.error.issues.map((issue) => issue.path.join('.'))[0] ?? '';
      throw new VSphereError('BadAnswer', `${address} gives no usable value for '${where}'`);
    }
    const readings = [...this.#readings.values()];
    return {
      ...header.data,
      machines: readings
        .flatMap((reading) => (reading.kind === 'machine' ? [reading.machine] : []))
        .sort((a, b) => compareText(a.moref, b.moref)),
      leftOut: readings.flatMap((reading) =>
        reading.kind === 'leftOut'
          ? [{ moref: reading.moref, name: reading.name, reason: reading.reason }]
          : [],
      ),
    };
  }

  #take(object: ObjectContent): void {
    const reading = readMachine(object, this.#places);
    if (reading.kind === 'machine' && this.#own.has(reading.machine.biosUuid)) {
      const { moref, name } = reading.machine;
      this.#readings.set(object.moref, { kind: 'leftOut', moref, name, reason: itself });
      return;
    }
    const host = object.properties.get('runtime.host')?.text;
    const folder = object.properties.get('parent')?.text;
    if ([host, folder].some((moref) => moref !== undefined && !this.#places.has(moref)))
      this.#newPlace = true;
    this.#readings.set(object.moref, reading);
  }

  async #find(moref: string): Promise<ObjectContent | undefined> {
    try {
      return await this.#client.read({ type: 'VirtualMachine', moref }, machineProperties);
    } catch (error) {
      if (error instanceof VSphereError && error.reason === 'ServerFault') return undefined;
      throw error;
    }
  }
}

/** SMBIOS writes the first three groups with their bytes turned round, and not everybody turns them back. */
function bothForms(uuid: string): string[] {
  const [a = '', b = '', c = '', ...rest] = uuid.split('-');
  return [uuid, [turned(a), turned(b), turned(c), ...rest].join('-')];
}

/** The bytes of a group of hex digits, turned round. */
function turned(group: string): string {
  return group.match(/../gu)?.toReversed().join('') ?? '';
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
