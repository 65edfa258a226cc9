import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { agentProduct } from '../appliance/mobility-agent/product.ts';
import { buildPackage } from './build-package.ts';
import { bundle, type Entry } from './bundle.ts';

const entries: Entry[] = [
  { source: 'appliance/mobility-agent/main.ts', file: 'main.js' },
  { source: 'appliance/mobility-agent/read-worker.ts', file: 'read-worker.js' },
];

/** How a package is built. */
export interface BuildOptions {
  root: string;
  version: string;
  /** The Node to ship, which runs on `platform`. */
  runtime: string;
  platform: string;
  outFolder: string;
  compression: number;
}

/** Bundles the mobility agent into a folder of its own. The caller removes it. */
export async function bundleAgent(root: string, folder: string): Promise<string> {
  rmSync(folder, { recursive: true, force: true });
  await bundle(root, entries, folder);
  return folder;
}

/** The mobility agent's installer. @param app a folder made by {@link bundleAgent} @returns its path */
export function buildAgentPackage(options: BuildOptions, app: string): string {
  const { name, title, folder } = agentProduct;
  return buildPackage(
    {
      name,
      title,
      folder,
      app,
      version: options.version,
      platform: options.platform,
      runtime: options.runtime,
      command: { entry: 'main.js', words: '' },
      files: { LICENSE: join(options.root, 'LICENSE') },
      compression: options.compression,
    },
    options.outFolder,
  );
}
