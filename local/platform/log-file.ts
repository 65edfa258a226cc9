import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { MiB } from '../../shared/bytes.ts';

const MAX_BYTES = 10 * MiB;

/** Appends lines to `logs/<name>.log` in the data folder; a file that has grown too big becomes `<name>.log.1`. */
export class LogFiles {
  readonly #folder: string;
  readonly #sizes = new Map<string, number>();

  constructor(dataFolder: string) {
    this.#folder = join(dataFolder, 'logs');
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
  }

  /** The path of a service's log. */
  path(name: string): string {
    return join(this.#folder, `${name}.log`);
  }

  append(name: string, line: string): void {
    const path = this.path(name);
    let sizeBytes = this.#sizes.get(name) ?? statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (sizeBytes > MAX_BYTES) {
      renameSync(path, `${path}.1`);
      sizeBytes = 0;
    }
    const text = `${new Date().toISOString()} ${line}\n`;
    appendFileSync(path, text, { mode: 0o600 });
    this.#sizes.set(name, sizeBytes + Buffer.byteLength(text));
  }
}
