import { existsSync, mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { syncFolder } from '../../shared/sync-folder.ts';
import { readManifest, type Manifest, type Product } from './product.ts';

/** A version that lies on the machine. */
export interface PlacedVersion {
  /** Name of its folder: `<version>-<build>`. */
  name: string;
  manifest: Manifest;
}

/** The versions of a product on this machine. Which one runs is one link, changed in one step. */
export class Versions {
  readonly #folder: string;

  constructor(product: Pick<Product, 'folder'>) {
    this.#folder = product.folder;
  }

  /** The link that the service is started through. */
  get currentPath(): string {
    return join(this.#folder, 'current');
  }

  current(): PlacedVersion | undefined {
    return this.#behind('current');
  }

  previous(): PlacedVersion | undefined {
    return this.#behind('previous');
  }

  /** Moves an unpacked package, which lies on the same file system, to its place. One that is there already stays. */
  place(unpacked: string): PlacedVersion {
    const manifest = readManifest(unpacked);
    const name = `${manifest.version}-${manifest.build}`;
    mkdirSync(this.#versions, { recursive: true, mode: 0o755 });
    const path = join(this.#versions, name);
    if (existsSync(path)) rmSync(unpacked, { recursive: true, force: true });
    else renameSync(unpacked, path);
    syncFolder(this.#versions);
    return { name, manifest };
  }

  /** Makes a version the current one, and the one that was current the previous one. */
  switchTo(name: string): void {
    const before = this.current()?.name;
    if (before === name) return;
    if (before !== undefined) this.#link('previous', before);
    this.#link('current', name);
    syncFolder(this.#folder);
  }

  /** Removes a version that does not run. */
  remove(name: string): void {
    if (this.previous()?.name === name) rmSync(join(this.#folder, 'previous'));
    rmSync(join(this.#versions, name), { recursive: true, force: true });
  }

  /** Removes all but the current version and the previous one. */
  prune(): void {
    const kept = [this.current()?.name, this.previous()?.name];
    for (const name of readdirSync(this.#versions)) if (!kept.includes(name)) this.remove(name);
  }

  get #versions(): string {
    return join(this.#folder, 'versions');
  }

  #behind(link: 'current' | 'previous'): PlacedVersion | undefined {
    const path = join(this.#folder, link);
    if (!existsSync(join(path, 'manifest.json'))) return undefined;
    return { name: basename(readlinkSync(path)), manifest: readManifest(path) };
  }

  /** A link can't be changed in one step, but another can take its place. */
  #link(link: 'current' | 'previous', name: string): void {
    const fresh = join(this.#folder, `.${link}.new`);
    rmSync(fresh, { force: true });
    symlinkSync(join('versions', name), fresh);
    renameSync(fresh, join(this.#folder, link));
  }
}
