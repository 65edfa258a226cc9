import { DiscoveryLimits } from '../../../shared/wire/discovery.ts';
import type { VSphereClient } from './client.ts';
import { unescapeName } from './guest-os.ts';

/** What machines refer to by id. Networks and datastores have no place of their own here, only names. */
const selection = {
  Folder: ['name', 'parent'],
  Datacenter: ['name', 'parent'],
  ComputeResource: ['name', 'parent'],
  HostSystem: ['name', 'parent'],
  Datastore: ['name'],
  Network: ['name'],
} as const;

interface Place {
  type: string;
  name: string;
  parent: string;
}

/** Deeper than any inventory; stops at a server whose folders go in a circle. */
const mostLevels = 64;

/** The inventory around the machines: names by id, and what lies in what. */
export class Places {
  readonly #places = new Map<string, Place>();

  /** @throws VSphereError */
  static async read(client: VSphereClient): Promise<Places> {
    const places = new Places();
    await client.collect(selection, ({ type, moref, properties }) => {
      const name = unescapeName(properties.get('name')?.text ?? '').slice(0, DiscoveryLimits.nameLength);
      places.#places.set(moref, { type, name, parent: properties.get('parent')?.text ?? '' });
    });
    return places;
  }

  /** The name, or undefined for what is not known or has none. */
  name(moref: string): string | undefined {
    return this.#places.get(moref)?.name || undefined;
  }

  has(moref: string): boolean {
    return this.#places.has(moref);
  }

  /** The cluster a host belongs to; none for a host that stands alone. */
  clusterOf(host: string): string | undefined {
    const parent = this.#places.get(this.#places.get(host)?.parent ?? '');
    return parent?.type === 'ClusterComputeResource' ? parent.name : undefined;
  }

  /** The datacenter that a folder lies in, and the path of folders in it, the hidden one named 'vm' left out. */
  pathOf(folder: string): { datacenter?: string; folder?: string } {
    const names: string[] = [];
    let place = this.#places.get(folder);
    for (let level = 0; place !== undefined && level < mostLevels; level += 1) {
      if (place.type === 'Datacenter') {
        const path = names.slice(0, -1).toReversed().join('/').slice(0, DiscoveryLimits.nameLength);
        return { datacenter: place.name, ...(path === '' ? {} : { folder: path }) };
      }
      names.push(place.name);
      place = this.#places.get(place.parent);
    }
    return {};
  }
}
