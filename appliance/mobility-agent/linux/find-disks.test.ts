import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { diskIdOf, findDisks, listSystemDisks, type SystemDisk } from './find-disks.ts';

const uuid = '6000C29e-5d3b-7a11-22e3-c6a1b2c3d4e5';
const named: SystemDisk = { path: '/dev/sda', sizeBytes: 10, hardwareId: '6000c29e5d3b7a1122e3c6a1b2c3d4e5' };
const plain = (path: string, sizeBytes: number): SystemDisk => ({ path, sizeBytes, hardwareId: '' });

describe('disks of a machine', () => {
  let sys: string;

  beforeAll(() => {
    sys = mkdtempSync(join(tmpdir(), 'secondsite-test-'));
    const add = (name: string, files: Record<string, string>): void => {
      for (const [path, text] of Object.entries(files)) {
        mkdirSync(join(sys, 'block', name, path, '..'), { recursive: true });
        writeFileSync(join(sys, 'block', name, path), text);
      }
    };
    add('sda', { size: '2048\n', 'device/wwid': 'naa.6000c29e5d3b7a1122e3c6a1b2c3d4e5\n' });
    add('nvme0n1', { size: '4096\n', wwid: 'eui.0025388b710116a2\n' });
    add('vda', { size: '8\n' });
    add('sr0', { size: '8\n' });
    add('loop0', { size: '8\n' });
    add('dm-0', { size: '8\n' });
    add('sdb', { size: '0\n' });
  });

  afterAll(() => rmSync(sys, { recursive: true }));

  it('are listed with the name of their hardware; what is none, or has no medium, is left out', () => {
    expect(listSystemDisks(sys).toSorted((one, other) => one.path.localeCompare(other.path))).toEqual([
      { path: '/dev/nvme0n1', sizeBytes: 2_097_152, hardwareId: '0025388b710116a2' },
      { path: '/dev/sda', sizeBytes: 1_048_576, hardwareId: '6000c29e5d3b7a1122e3c6a1b2c3d4e5' },
      { path: '/dev/vda', sizeBytes: 4_096, hardwareId: '' },
    ]);
  });

  it('are found by the uuid that vCenter knows them under, whatever their size', () => {
    expect(findDisks([{ diskId: uuid, sizeBytes: 99 }], [plain('/dev/sdb', 99), named])).toEqual([
      { diskId: uuid, path: '/dev/sda' },
    ]);
  });

  it('are found by their size where just one has it, and just one is wanted', () => {
    const wanted = [
      { diskId: 'disk-2000', sizeBytes: 20 },
      { diskId: uuid, sizeBytes: 10 },
    ];
    expect(findDisks(wanted, [named, plain('/dev/sdb', 10), plain('/dev/sdc', 20)])).toEqual([
      { diskId: 'disk-2000', path: '/dev/sdc' },
      { diskId: uuid, path: '/dev/sda' },
    ]);
  });

  it.each([
    ['two have it', [{ diskId: 'disk-2000', sizeBytes: 20 }], [plain('/dev/sdb', 20), plain('/dev/sdc', 20)]],
    [
      'two are wanted',
      [
        { diskId: 'disk-2000', sizeBytes: 20 },
        { diskId: 'disk-2001', sizeBytes: 20 },
      ],
      [plain('/dev/sdb', 20)],
    ],
    ['none has it', [{ diskId: 'disk-2000', sizeBytes: 21 }], [plain('/dev/sdb', 20)]],
  ])('are not guessed when %s', (_, wanted, disks) => {
    for (const found of findDisks(wanted, disks))
      expect(found).toMatchObject({
        fault: { recommendedAction: expect.stringContaining('disk.EnableUUID') as string },
      });
  });

  it('of a physical machine are found again under the id that they were told by', () => {
    for (const disk of listSystemDisks(sys).filter(({ hardwareId }) => hardwareId !== '')) {
      const wanted = { diskId: diskIdOf(disk.hardwareId), sizeBytes: disk.sizeBytes };
      expect(findDisks([wanted], [named, disk])).toEqual([{ diskId: wanted.diskId, path: disk.path }]);
    }
  });
});
