import { DiscoveryLimits } from '../../../shared/wire/discovery.ts';
import type { XmlElement } from '../../../shared/xml.ts';
import { propertySet, viewSet, type VSphereClient } from './client.ts';
import { VSphereError } from './vsphere-error.ts';

/** Each shows that a machine changed; small, because the server sends all of them once at the start. */
const signals = [
  'name',
  'parent',
  // goes up with every change of size, disks, cards, uuids…
  'config.changeVersion',
  'runtime.powerState',
  'runtime.connectionState',
  'runtime.host',
  'guest.toolsRunningStatus',
  'guest.hostName',
  'guest.ipAddress',
] as const;
const objectsInAnswer = 250;
const mostAnswers = (4 * DiscoveryLimits.machines) / objectsInAnswer;

/** What changed since the last answer, by the machines' ids. */
export interface Changes {
  changed: Set<string>;
  gone: Set<string>;
}

/** Hears of changed, new and vanished machines of one server: vSphere's WaitForUpdatesEx. Needs a session for itself. */
export class MachineWatch {
  readonly #client: VSphereClient;
  #version: string;

  private constructor(client: VSphereClient, version: string) {
    this.#client = client;
    this.#version = version;
  }

  /**
   * Begins to watch: whatever changes from now on is in one of the answers of {@link next}.
   *
   * @throws VSphereError
   */
  static async start(client: VSphereClient): Promise<MachineWatch> {
    const view = await client.createView(['VirtualMachine']);
    const spec = `<spec>${propertySet('VirtualMachine', signals)}${viewSet(view)}</spec>`;
    const { propertyCollector } = client.service;
    await client.call('CreateFilter', propertyCollector, `${spec}<partialUpdates>true</partialUpdates>`);
    const watch = new MachineWatch(client, '');
    await watch.#read(0); // what is there now is not wanted, only what it changes to
    return watch;
  }

  /** Waits for changes; none came in this time where both sets are empty. @throws VSphereError */
  async next(waitSeconds: number): Promise<Changes> {
    return this.#read(waitSeconds);
  }

  async #read(waitSeconds: number): Promise<Changes> {
    const changes: Changes = { changed: new Set(), gone: new Set() };
    for (let answers = 0; answers < mostAnswers; answers += 1) {
      const truncated = await this.#readAnswer(answers === 0 ? waitSeconds : 0, changes);
      if (!truncated) return changes;
    }
    throw new VSphereError('BadAnswer', `${this.#client.address} sends changes without end`);
  }

  async #readAnswer(waitSeconds: number, changes: Changes): Promise<boolean> {
    // without a time the first answer, which says all there is, comes at once
    const wait = this.#version === '' ? '' : `<maxWaitSeconds>${waitSeconds}</maxWaitSeconds>`;
    const options = `<options>${wait}<maxObjectUpdates>${objectsInAnswer}</maxObjectUpdates></options>`;
    const answer = await this.#client.call(
      'WaitForUpdatesEx',
      this.#client.service.propertyCollector,
      `<version>${this.#version}</version>${options}`,
      { name: 'objectSet', onElement: (update) => take(update, changes) },
    );
    const set = answer.child('returnval');
    this.#version = set?.childText('version') || this.#version;
    return set?.childText('truncated') === 'true';
  }
}

/** A machine can come and go within one answer: the last word counts. */
function take(update: XmlElement, { changed, gone }: Changes): void {
  const moref = update.childText('obj');
  const isGone = update.childText('kind') === 'leave';
  (isGone ? gone : changed).add(moref);
  (isGone ? changed : gone).delete(moref);
}
