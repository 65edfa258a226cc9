import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';

import { NotSupportedError, toLoadedFunction, type LoadedFunction } from './bindings.ts';
import { requireFile, type Registry } from './core-module.ts';

const PackageJson = z.object({ main: z.string().min(1), type: z.enum(['module', 'commonjs']).optional() });

/**
 * Loads a built function app as the worker does: the files that package.json's `main` names (a glob may name
 * several), ES modules by import(). Then its appStart hooks run, and nothing more can be registered.
 * @returns its functions in the order of their names
 * @throws NotSupportedError when the app uses what this host does not have
 */
export async function loadApp(appFolder: string, registry: Registry): Promise<LoadedFunction[]> {
  const packagePath = join(appFolder, 'package.json');
  const { main, type } = PackageJson.parse(JSON.parse(readFileSync(packagePath, 'utf8')));
  const files = globSync(main, { cwd: appFolder }).sort();
  if (files.length === 0) {
    throw new Error(`${packagePath}: no file matches main '${main}'; is the app built?`);
  }
  for (const file of files) await loadFile(join(appFolder, file), type === 'module');
  const hookData = {};
  for (const hook of registry.hooks.appStart) await hook({ hookData, appHookData: hookData });
  registry.locked = true;
  const capabilities = (await registry.model?.getCapabilities?.({})) ?? {};
  if (capabilities['HttpUri'] !== undefined) throw new NotSupportedError('enableHttpStream');
  if (registry.functions.size === 0) throw new Error(`${appFolder}: the app registers no function`);
  return [...registry.functions.values()]
    .map(toLoadedFunction)
    .sort((left, right) => compareNames(left.name, right.name));
}

async function loadFile(path: string, isModule: boolean): Promise<void> {
  try {
    if (path.endsWith('.mjs') || (isModule && !path.endsWith('.cjs'))) await import(pathToFileURL(path).href);
    else requireFile(path);
  } catch (error) {
    throw new Error(`${path}: the function app cannot be loaded`, { cause: error });
  }
}

/** Ordinal order, ignoring case: the order in which the host tries the routes of functions. */
function compareNames(left: string, right: string): number {
  const [a, b] = [left.toUpperCase(), right.toUpperCase()];
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
