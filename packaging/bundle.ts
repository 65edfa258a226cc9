import { join } from 'node:path';
import { rolldown } from 'rolldown';

/** A source file that becomes one file, with all that it imports in it. */
export interface Entry {
  /** From the repository's root. */
  source: string;
  /** From the package's `app` folder. */
  file: string;
}

/**
 * Bundles entries, each into one file: a worker thread's script is an entry of its own, beside the file that starts it.
 * Native modules can not be bundled; what the packages use of the system (SQLite, zstd, TLS) is part of Node.
 */
export async function bundle(root: string, entries: readonly Entry[], appFolder: string): Promise<void> {
  for (const { source, file } of entries) {
    const build = await rolldown({
      input: join(root, source),
      platform: 'node',
      // ssh2 has two optional native parts and does without; `require` of them fails at run time as it would installed.
      external: [/\.node$/u, 'cpu-features'],
      logLevel: 'silent',
    });
    try {
      await build.write({ file: join(appFolder, file), format: 'esm', codeSplitting: false, minify: true });
    } finally {
      await build.close();
    }
  }
}
