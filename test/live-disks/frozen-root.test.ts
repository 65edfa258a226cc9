import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, copyFileSync, mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MiB } from '../../shared/bytes.ts';
import { run, whyNotHere, Workshop } from './loop-disk.ts';

const reason = whyNotHere();
const where = reason === undefined ? '' : ` (not here: ${reason})`;
const repository = join(import.meta.dirname, '../..');

/** A machine's own root: here a folder that the agent is shut into, with all it runs from on the frozen disk. */
describe.skipIf(reason)(
  `a freeze of the file system that the agent runs from${where}`,
  { timeout: 300_000 },
  () => {
    let workshop: Workshop;
    let root: string;

    beforeEach(() => {
      workshop = new Workshop();
      const disk = workshop.disk('root', 512 * MiB);
      disk.format('ext4');
      root = disk.mount();
      for (const program of ['bash', 'fsfreeze']) install(run('which', [program]).trim(), `/bin/${program}`);
      install(process.execPath, '/bin/node');
      for (const folder of ['appliance', 'shared'])
        cpSync(join(repository, folder), join(root, 'app', folder), { recursive: true });
      const main = 'test/live-disks/frozen-agent-main.ts';
      mkdirSync(join(root, 'app', dirname(main)), { recursive: true });
      copyFileSync(join(repository, main), join(root, 'app', main));
      copyFileSync(join(repository, 'package.json'), join(root, 'app/package.json'));
      for (const folder of ['proc', 'dev']) mkdirSync(join(root, folder));
      run('mount', ['-t', 'proc', 'proc', join(root, 'proc')]);
      run('mknod', [join(root, 'dev/null'), 'c', '1', '3']);
      symlinkSync('/proc/self/fd', join(root, 'dev/fd'));
    });
    afterEach(() => {
      run('umount', ['--lazy', join(root, 'proc')]);
      workshop.close();
    });

    /** Copies a program and the libraries that it needs. */
    function install(program: string, as: string): void {
      const libraries = run('ldd', [program]).match(/\/\S+(?= \(0x)/gu) ?? [];
      for (const [from, to] of [[program, as], ...libraries.map((path) => [path, path])]) {
        mkdirSync(dirname(join(root, to!)), { recursive: true });
        copyFileSync(realpathSync(from!), join(root, to!));
      }
    }

    function isFrozen(): boolean {
      try {
        run('fsfreeze', ['--freeze', root]);
        run('fsfreeze', ['--unfreeze', root]);
        return false;
      } catch (error) {
        return String(error).includes('busy');
      }
    }

    async function freeze(limitMs: number): Promise<{ kill: () => void }> {
      const words = [root, '/bin/node', '/app/test/live-disks/frozen-agent-main.ts', String(limitMs), '/'];
      const agent = spawn(run('which', ['chroot']).trim(), words, {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { PATH: '/bin' },
      });
      const [said] = (await once(agent.stdout, 'data')) as [Buffer];
      expect(said.toString()).toBe('frozen\n');
      return { kill: () => agent.kill('SIGKILL') };
    }

    it('ends when the agent is killed', async () => {
      const { kill } = await freeze(60_000);
      expect(isFrozen()).toBe(true);
      kill();
      await writeFile(join(root, 'written'), 'something');
      expect(isFrozen()).toBe(false);
    });

    it('ends at its limit though the agent never thaws', async () => {
      const { kill } = await freeze(500);
      await writeFile(join(root, 'written'), 'something');
      expect(isFrozen()).toBe(false);
      kill();
    });
  },
);
