import { accessSync, constants, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

/** What the user asked of the demo. */
export interface DemoOptions {
  json: boolean;
  keep: boolean;
  /** The user's own raw disk image; it is copied, never written to. */
  disk: string | undefined;
  dataFolder: string;
}

/** The command line can't be followed; the message says why and what to do. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const help = `Runs the main job on this machine: protects one disk and proves it.

  npm run demo [-- options]

  --disk FILE           your own raw disk image in place of the first machine's (it is copied, not changed)
  --keep                leave everything running afterwards, until Ctrl-C
  --json                one JSON object a step, on one line each
  --data-folder FOLDER  where the demo works (default .secondsite/demo; emptied first)
  --help                this text
`;

/** @returns undefined when the help was asked for. @throws UsageError */
export function parseOptions(args: string[], installation: string): DemoOptions | undefined {
  const values = parse(args);
  if (values.help) return undefined;
  // npm runs scripts in the package's folder and says here where it was called.
  const callersFolder = process.env['INIT_CWD'] ?? process.cwd();
  const disk = values.disk === undefined ? undefined : resolve(callersFolder, values.disk);
  if (disk !== undefined) checkDisk(disk);
  return {
    json: values.json,
    keep: values.keep,
    disk,
    dataFolder:
      values['data-folder'] === undefined
        ? resolve(installation, '.secondsite', 'demo')
        : resolve(callersFolder, values['data-folder']),
  };
}

function parse(args: string[]): {
  json: boolean;
  keep: boolean;
  help: boolean;
  disk?: string;
  'data-folder'?: string;
} {
  try {
    const { values } = parseArgs({
      args,
      options: {
        disk: { type: 'string' },
        keep: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        'data-folder': { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`${reason} See: npm run demo -- --help`, { cause });
  }
}

function checkDisk(path: string): void {
  try {
    accessSync(path, constants.R_OK);
  } catch (cause) {
    throw new UsageError(`--disk ${path}: there is no such file, or you may not read it.`, { cause });
  }
  const stat = statSync(path);
  if (!stat.isFile()) throw new UsageError(`--disk ${path}: it is not a file. Give a raw disk image.`);
  if (stat.size === 0) throw new UsageError(`--disk ${path}: it is empty. Give a raw disk image.`);
  if (stat.size % 512 !== 0) {
    const hint = 'A raw disk image is whole sectors: qemu-img convert -O raw makes one.';
    throw new UsageError(`--disk ${path}: its size, ${stat.size} bytes, is not a multiple of 512. ${hint}`);
  }
}
