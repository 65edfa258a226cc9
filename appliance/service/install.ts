import { mkdirSync, rmdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DomainError } from '../../shared/fault.ts';
import { takeDataFolder } from '../configuration-server/single-run.ts';
import { keeperOf, type Keeper } from './keeper.ts';
import type { Product } from './product.ts';
import { Versions, type PlacedVersion } from './versions.ts';

/** Where the command's link lies: in everybody's path. */
const commandFolder = '/usr/local/bin';

/** What installing needs to know of its product beside where it lies. */
export interface InstallSteps {
  /** Runs once the files are in place, before anything is switched: settings, enrolment. What it throws undoes all. */
  prepare: () => Promise<void>;
  /** Whether the service is to run from now on: an agent that is not enrolled has nothing to do. */
  shallRun: () => boolean;
  /** Resolves when the service does its work with this version. @throws DomainError RemoteFailure when it does not in time */
  untilUp: (version: string) => Promise<void>;
}

/** What became of an installation. */
export interface Installed {
  version: string;
  /** The version that ran before, where there was one. */
  before?: string;
  /** Runs: the service runs. Waits: it is installed, and starts once it is enrolled or set up. */
  state: 'runs' | 'waits';
  keeper: Keeper['kind'];
}

/**
 * Installs an unpacked package, or upgrades to it. The data folder stays as it is. When the new version does not come up,
 * the one before runs again; when there was none before, nothing is left. Repeating it is harmless.
 *
 * @throws DomainError RemoteFailure, saying which version runs now
 */
export async function install(product: Product, unpacked: string, steps: InstallSteps): Promise<Installed> {
  const giveFree = takeInstallation(product);
  try {
    const versions = new Versions(product);
    const before = versions.current();
    const placed = versions.place(unpacked);
    try {
      await steps.prepare();
    } catch (error) {
      if (placed.name !== before?.name) versions.remove(placed.name);
      if (before === undefined) removeFolder(product);
      throw error;
    }
    const installed = await bringUp(product, { versions, before, placed, steps });
    versions.prune();
    return installed;
  } finally {
    giveFree();
  }
}

async function bringUp(
  product: Product,
  {
    versions,
    before,
    placed,
    steps,
  }: {
    versions: Versions;
    before: PlacedVersion | undefined;
    placed: PlacedVersion;
    steps: InstallSteps;
  },
): Promise<Installed> {
  const keeper = keeperOf(product);
  const { version } = placed.manifest;
  try {
    versions.switchTo(placed.name);
    linkCommand(product);
    await keeper.install();
    if (steps.shallRun()) {
      await keeper.restart();
      await steps.untilUp(version);
    }
  } catch (error) {
    await goBack(product, { keeper, versions, before, placed, steps, error });
  }
  return {
    version,
    ...(before === undefined ? {} : { before: before.manifest.version }),
    state: steps.shallRun() ? 'runs' : 'waits',
    keeper: keeper.kind,
  };
}

async function goBack(
  product: Product,
  {
    keeper,
    versions,
    before,
    placed,
    steps,
    error,
  }: {
    keeper: Keeper;
    versions: Versions;
    before: PlacedVersion | undefined;
    placed: PlacedVersion;
    steps: InstallSteps;
    error: unknown;
  },
): Promise<never> {
  const why = error instanceof Error ? error.message : 'no reason was told';
  const { version } = placed.manifest;
  if (before === undefined || before.name === placed.name) {
    if (before === undefined) await removeAll(product, keeper);
    throw new DomainError(
      {
        code: 'RemoteFailure',
        message: `${product.title} ${version} did not come up: ${why}`,
        recommendedAction:
          before === undefined
            ? 'Nothing was left behind; put this right and install again.'
            : 'Look at its log.',
      },
      { cause: error },
    );
  }
  versions.switchTo(before.name);
  versions.remove(placed.name);
  await keeper.restart();
  await steps.untilUp(before.manifest.version);
  throw new DomainError(
    {
      code: 'RemoteFailure',
      armCode: 'RolledBack',
      message: `${product.title} ${version} did not come up: ${why} Version ${before.manifest.version} runs again.`,
      recommendedAction:
        'Replication goes on with the version before. Look at the log, then try another version.',
    },
    { cause: error },
  );
}

/**
 * Removes the service, all its versions and its command; with `data`, its data folder too. What is not there is no error.
 */
export async function uninstall(product: Product, { data }: { data: boolean }): Promise<void> {
  mkdirSync(product.folder, { recursive: true });
  const giveFree = takeInstallation(product);
  try {
    await removeAll(product, keeperOf(product));
    if (data) rmSync(product.dataFolder, { recursive: true, force: true });
  } finally {
    giveFree();
  }
}

async function removeAll(product: Product, keeper: Keeper): Promise<void> {
  await keeper.remove();
  rmSync(join(commandFolder, product.name), { force: true });
  removeFolder(product);
}

/** The folder above is shared by the products: it goes with the last one. */
function removeFolder(product: Product): void {
  rmSync(product.folder, { recursive: true, force: true });
  try {
    rmdirSync(dirname(product.folder));
  } catch {
    // not empty
  }
}

function linkCommand({ name, folder }: Product): void {
  const path = join(commandFolder, name);
  mkdirSync(commandFolder, { recursive: true });
  rmSync(path, { force: true });
  symlinkSync(join(folder, 'current', 'bin', name), path);
}

/** One installation at a time. @throws DomainError Conflict */
function takeInstallation({ title, folder }: Product): () => void {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  try {
    return takeDataFolder(folder);
  } catch (cause) {
    throw new DomainError(
      { code: 'Conflict', message: `${title} is being installed or removed by another process just now.` },
      { cause },
    );
  }
}
