import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';

const Manifest = z.object({
  license: z.string().default('unknown'),
  version: z.string(),
  dependencies: z.record(z.string(), z.string()).default({}),
});

/** The packages that this installation is made of, with their licences. */
export function listLicences(): { name: string; version: string; licence: string }[] {
  const folder = installationFolder(import.meta.dirname);
  return Object.keys(readManifest(join(folder, 'package.json')).dependencies).map((name) => {
    const { version, license } = readManifest(join(folder, 'node_modules', name, 'package.json'));
    return { name, version, licence: license };
  });
}

/** The list for a person. */
export function describeLicences(): string {
  return listLicences()
    .map(({ name, version, licence }) => `  ${name} ${version}: ${licence}`)
    .join('\n');
}

function readManifest(path: string): z.infer<typeof Manifest> {
  return Manifest.parse(JSON.parse(readFileSync(path, 'utf8')));
}

function installationFolder(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder;
  return installationFolder(dirname(folder));
}
