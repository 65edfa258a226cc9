import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { DomainError } from '../../shared/fault.ts';

/** A part of Secondsite that is installed as a service of a machine from one file. */
export interface Product {
  name: 'secondsite-agent' | 'secondsite-appliance';
  /** For people. */
  title: string;
  /** Where its versions lie; `current` in it is a link to the one that runs, `previous` to the one before. */
  folder: string;
  dataFolder: string;
  /** Options of its systemd unit beside what all units have: one `Name=value` each. */
  unitOptions: readonly string[];
}

const Manifest = z.object({
  product: z.enum(['secondsite-agent', 'secondsite-appliance']),
  version: z.string().regex(/^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/u),
  /** `linux-x64` or `linux-arm64`. */
  platform: z.string(),
  /** The first 12 hex digits of a hash over all files: two builds of one version differ in it. */
  build: z.string().regex(/^[0-9a-f]{12}$/u),
});
/** What a package says of itself, in `manifest.json` beside its folders. */
export type Manifest = z.infer<typeof Manifest>;

/** @throws DomainError InvalidRequest when the folder holds no unpacked package */
export function readManifest(folder: string): Manifest {
  try {
    return Manifest.parse(JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')));
  } catch (cause) {
    throw new DomainError(
      {
        code: 'InvalidRequest',
        message: `${folder} holds no unpacked package of Secondsite.`,
        target: folder,
        recommendedAction: "Run the package itself: 'sh secondsite-….run'. It unpacks and installs.",
      },
      { cause },
    );
  }
}

/** The folder of the installed package that this file runs from; undefined when it runs from sources. */
export function findPackageFolder(product: Product['name']): string | undefined {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'manifest.json')) && existsSync(join(folder, 'bin', product))) return folder;
  }
  return undefined;
}
