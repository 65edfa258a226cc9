import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BrokenFreeze, Freezer } from '../../appliance/mobility-agent/linux/freezer.ts';
import { MiB } from '../../shared/bytes.ts';
import { run, whyNotHere, Workshop } from './loop-disk.ts';

const reason = whyNotHere();
const aMinute = 60_000;

describe.skipIf(reason)(
  `a freeze${reason === undefined ? '' : ` (not here: ${reason})`}`,
  { timeout: 300_000 },
  () => {
    let workshop: Workshop;
    let one: string;
    let other: string;

    beforeEach(() => {
      workshop = new Workshop();
      [one = '', other = ''] = ['one', 'other'].map((name) => {
        const disk = workshop.disk(name, 32 * MiB);
        disk.format('ext4');
        return disk.mount();
      });
    });
    afterEach(() => workshop.close());

    it('holds all file systems still until it is thawed', async () => {
      const freezer = await Freezer.prepare([one, other], aMinute);
      expect(isFrozen(one)).toBe(false);
      expect(await freezer.freeze()).toEqual({ unfreezable: [] });
      expect([isFrozen(one), isFrozen(other)]).toEqual([true, true]);
      await freezer.thaw();
      await freezer.close();
      await Promise.all([write(one), write(other)]);
    });

    it('ends by itself at its limit, and its thaw says so', async () => {
      const freezer = await Freezer.prepare([one], 300);
      await freezer.freeze();
      await write(one);
      await expect(freezer.thaw()).rejects.toThrow('longer than the limit');
      await freezer.close();
    });

    it('ends when the agent is killed in it', async () => {
      const program = join(import.meta.dirname, 'frozen-agent-main.ts');
      const agent = spawn(process.execPath, [program, String(aMinute), one], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [said] = (await once(agent.stdout, 'data')) as [Buffer];
      expect(said.toString()).toBe('frozen\n');
      expect(isFrozen(one)).toBe(true);
      agent.kill('SIGKILL');
      await write(one);
    });

    it('ends when its watchdog is killed, and its thaw says so', async () => {
      const freezer = await Freezer.prepare([one, other], aMinute);
      await freezer.freeze();
      const watchdog = run('pgrep', [
        '--full',
        '--oldest',
        `^bash -c .*secondsite-freeze .*${one} ${other}$`,
      ]).trim();
      process.kill(Number(watchdog), 'SIGKILL');
      await Promise.all([write(one), write(other)]);
      await expect(freezer.thaw()).rejects.toThrow('watchdog was killed');
      await freezer.close();
    });

    it('is broken when somebody else thaws a file system', async () => {
      const freezer = await Freezer.prepare([one, other], aMinute);
      await freezer.freeze();
      run('fsfreeze', ['--unfreeze', other]);
      await expect(freezer.thaw()).rejects.toThrow(`somebody else thawed ${other}`);
      await freezer.close();
      expect(isFrozen(one)).toBe(false);
    });

    it('is refused when somebody else has frozen one of them, and leaves none frozen of its own', async () => {
      run('fsfreeze', ['--freeze', other]);
      const freezer = await Freezer.prepare([one, other], aMinute);
      await expect(freezer.freeze()).rejects.toThrow(BrokenFreeze);
      expect([isFrozen(one), isFrozen(other)]).toEqual([false, true]);
      run('fsfreeze', ['--unfreeze', other]);
    });

    it('tells which file systems can not be frozen, and freezes the others', async () => {
      const memory = join(workshop.folder, 'memory');
      mkdirSync(memory);
      run('mount', ['-t', 'tmpfs', 'none', memory]);
      try {
        const freezer = await Freezer.prepare([memory, one], aMinute);
        expect(await freezer.freeze()).toEqual({ unfreezable: [memory] });
        expect(isFrozen(one)).toBe(true);
        await freezer.thaw();
        await freezer.close();
      } finally {
        run('umount', [memory]);
      }
    });
  },
);

/** Resolves only when the file system is not frozen, or is thawed. */
function write(folder: string): Promise<void> {
  return writeFile(join(folder, 'written'), 'something');
}

/** What the kernel says to another freeze while there is one. */
function isFrozen(folder: string): boolean {
  try {
    run('fsfreeze', ['--freeze', folder]);
    run('fsfreeze', ['--unfreeze', folder]);
    return false;
  } catch (error) {
    return String(error).includes('busy');
  }
}
