import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Keeper } from './keeper.ts';
import type { Product } from './product.ts';
import { runProgram } from './run-program.ts';

const unitFolder = '/etc/systemd/system';

/** Keeps a product running by a systemd unit. */
export class SystemdKeeper implements Keeper {
  readonly kind = 'systemd';
  readonly #product: Product;
  readonly #unit: string;

  constructor(product: Product) {
    this.#product = product;
    this.#unit = `${product.name}.service`;
  }

  async install(): Promise<void> {
    writeFileSync(join(unitFolder, this.#unit), describeUnit(this.#product), { mode: 0o644 });
    await runProgram('systemctl', ['daemon-reload']);
    await runProgram('systemctl', ['enable', this.#unit]);
  }

  async restart(): Promise<void> {
    await runProgram('systemctl', ['reset-failed', this.#unit]).catch(() => {}); // it may never have run
    await runProgram('systemctl', ['restart', this.#unit]);
  }

  async stop(): Promise<void> {
    await runProgram('systemctl', ['stop', this.#unit]);
  }

  async isActive(): Promise<boolean> {
    return runProgram('systemctl', ['is-active', '--quiet', this.#unit]).then(
      () => true,
      () => false,
    );
  }

  async remove(): Promise<void> {
    await runProgram('systemctl', ['disable', '--now', this.#unit]);
    rmSync(join(unitFolder, this.#unit), { force: true });
    await runProgram('systemctl', ['daemon-reload']);
  }
}

/** The text of a product's systemd unit. */
export function describeUnit(product: Product): string {
  const { name, title, folder, unitOptions } = product;
  return `${[
    `# Written by ${name} when it is installed; changes belong into: systemctl edit ${name}`,
    '[Unit]',
    `Description=${title}`,
    'Wants=network-online.target',
    'After=network-online.target local-fs.target',
    '# However often it fails, it is tried again.',
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=exec',
    `ExecStart=${join(folder, 'current', 'bin', name)} run`,
    'Restart=always',
    'RestartSec=5',
    'TimeoutStopSec=45',
    'UMask=0077',
    ...unitOptions,
    '',
    '[Install]',
    'WantedBy=multi-user.target',
  ].join('\n')}\n`;
}
