import { describe, expect, it } from 'vitest';
import { numberText } from './block-device.ts';
import { parseMounts } from './mounts.ts';

describe('the list of mounts', () => {
  it('is read with optional fields, blanks in paths, and file systems that span devices', () => {
    const text = [
      '22 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard',
      '36 22 8:17 /sub /mnt/with\\040blank\\134 rw,noatime master:1 shared:7 - xfs /dev/sdb1 ro,attr2',
      '40 22 0:45 / /mnt/pool rw - btrfs /dev/sdc rw,space_cache',
      '41 22 0:46 / /tmp rw - tmpfs none rw',
      '',
    ].join('\n');
    expect(parseMounts(text)).toEqual([
      { number: '254:0', mountPoint: '/', type: 'ext4', source: '/dev/vda', isReadOnly: false },
      { number: '8:17', mountPoint: '/mnt/with blank\\', type: 'xfs', source: '/dev/sdb1', isReadOnly: true },
      { number: '0:45', mountPoint: '/mnt/pool', type: 'btrfs', source: '/dev/sdc', isReadOnly: false },
      { number: '0:46', mountPoint: '/tmp', type: 'tmpfs', source: 'none', isReadOnly: false },
    ]);
  });

  it('knows devices by their numbers, large ones too', () => {
    expect(numberText(0x0801n)).toBe('8:1');
    expect(numberText(286327664n)).toBe('259:70000');
    expect(numberText(17592186044677n)).toBe('4097:5');
  });
});
