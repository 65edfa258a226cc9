import type { DiscoveryReport } from '../../shared/wire/discovery.ts';
import { VSphereClient, type VSphereSettings } from './vsphere/client.ts';
import { Picture } from './vsphere/picture.ts';
import { VSphereError } from './vsphere/vsphere-error.ts';
import { MachineWatch } from './vsphere/watch.ts';

/** Shorter than the time after which a connection without a byte counts as lost. */
const waitSeconds = 30;

/** What a watcher is built from. */
export interface WatcherOptions {
  vCenterName: string;
  settings: VSphereSettings;
  /** Of the machine that this runs on; it is left out of the picture. */
  ownBiosUuid?: string | undefined;
  /** Something changed; the whole picture as it is now. */
  onReport: (report: DiscoveryReport) => void;
  /** Nothing more will be heard: the session ended or the server is gone. */
  onLost: (error: unknown) => void;
}

/** One vCenter's picture, read once and then kept up to date by what the server tells of itself, over one session. */
export class VCenterWatcher {
  readonly #options: WatcherOptions;
  readonly #client: VSphereClient;
  readonly #picture: Picture;
  #closed = false;
  #loop: Promise<void> = Promise.resolve();
  readonly first: DiscoveryReport;

  private constructor(
    options: WatcherOptions,
    parts: { client: VSphereClient; picture: Picture; watch: MachineWatch | undefined; startedAtMs: number },
  ) {
    this.#options = options;
    this.#client = parts.client;
    this.#picture = parts.picture;
    this.first = parts.picture.report(options.vCenterName, parts.startedAtMs);
    if (parts.watch !== undefined) this.#loop = this.#follow(parts.watch);
  }

  /**
   * Connects, reads everything, and from then on tells changes, where the server can.
   *
   * @throws VSphereError
   */
  static async start(options: WatcherOptions): Promise<VCenterWatcher> {
    const startedAtMs = Date.now();
    const client = await VSphereClient.connect(options.settings);
    try {
      // first the watch, so that what changes while everything is read is not missed
      const watch = await startWatch(client);
      const picture = await Picture.read(client, options.ownBiosUuid);
      return new VCenterWatcher(options, { client, picture, watch, startedAtMs });
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  /** Tells nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#client.abandon();
    await this.#loop;
  }

  async #follow(watch: MachineWatch): Promise<void> {
    try {
      while (!this.#closed) {
        const { changed, gone } = await watch.next(waitSeconds);
        if (changed.size === 0 && gone.size === 0) continue;
        const heardAtMs = Date.now();
        for (const moref of gone) this.#picture.forget(moref);
        await this.#picture.readAgain([...changed]);
        if (!this.#closed) this.#options.onReport(this.#picture.report(this.#options.vCenterName, heardAtMs));
      }
    } catch (error) {
      if (this.#closed) return;
      this.#client.destroy();
      this.#options.onLost(error);
    }
  }
}

/** Undefined where the server or the account's role has no such thing: then the rounds alone keep the picture. */
async function startWatch(client: VSphereClient): Promise<MachineWatch | undefined> {
  try {
    return await MachineWatch.start(client);
  } catch (error) {
    const isRefused =
      error instanceof VSphereError && (error.reason === 'ServerFault' || error.reason === 'NoPermission');
    if (isRefused) return undefined;
    throw error;
  }
}
