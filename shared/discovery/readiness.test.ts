import { describe, expect, it } from 'vitest';
import { itemOfTest, machineOfTest } from '../protection/item-of-test.ts';
import { type KeptMachine } from './machine.ts';
import { readinessErrors, readinessHealthErrors } from './readiness.ts';

const good = machineOfTest;
const disk = good.machine.disks[0]!;

function changed(change: Partial<KeptMachine['machine']>): KeptMachine {
  return { ...good, machine: { ...good.machine, ...change } };
}

describe('whether a machine can be protected', () => {
  it('is yes for an ordinary one, which is what items are made of', () => {
    expect(readinessErrors(good)).toEqual([]);
    expect(itemOfTest.disks).toHaveLength(good.machine.disks.length);
  });

  it('is told of one that is off under the real code and words', () => {
    expect(readinessHealthErrors(changed({ powerState: 'poweredOff' }))).toMatchObject([
      { errorCode: '78145', errorMessage: 'VM is Powered off.', errorCategory: 'Replication' },
    ]);
  });

  it.each([
    ['sectors of 4096 bytes', changed({ disks: [{ ...disk, sectorBytes: 4_096 }] })],
    ['is empty', changed({ disks: [{ ...disk, capacityBytes: 0 }] })],
    ['not a multiple of 512', changed({ disks: [{ ...disk, capacityBytes: 1_000 }] })],
    ['2048 are possible', changed({ disks: [{ ...disk, capacityBytes: 2_049 * 1024 ** 3 }] })],
    ['32767 are possible', changed({ disks: [disk, { ...disk, capacityBytes: 32_768 * 1024 ** 3 }] })],
    ['several machines at once', changed({ disks: [{ ...disk, shared: true }] })],
    ['65 are possible', changed({ disks: Array.from({ length: 66 }, () => disk) })],
    ['no disks', changed({ disks: [] })],
    ['same BIOS UUID', { ...good, sharesBiosUuid: true }],
    ['no longer in the inventory', { ...good, vanishedAtMs: 1 }],
    ['is inaccessible', changed({ connectionState: 'inaccessible' })],
  ])('says %s', (words, machine) => {
    expect(readinessErrors(machine)).toEqual([expect.stringContaining(words)]);
  });

  it('takes disks whose sectors have 512 bytes', () => {
    expect(readinessErrors(changed({ disks: [{ ...disk, sectorBytes: 512 }] }))).toEqual([]);
  });
});
