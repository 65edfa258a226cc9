import { describe, expect, it } from 'vitest';
import { itemOfTest, machineOfTest, requestOfTest } from './item-of-test.ts';
import { azureNameOf, hashRequest, planEnable, refuseOther } from './plan-enable.ts';

const made = { protectedItemId: itemOfTest.protectedItemId, jobId: itemOfTest.enableJobId, atMs: 1 };

function plan(
  input: Partial<typeof requestOfTest.input>,
  machine: Partial<typeof machineOfTest.machine> = {},
) {
  const protectable = { ...machineOfTest, machine: { ...machineOfTest.machine, ...machine } };
  return planEnable({ ...requestOfTest, protectable, input: { ...requestOfTest.input, ...input } }, made);
}

describe('enabling protection', () => {
  it('takes all disks, and a name that Azure takes', () => {
    expect(itemOfTest).toMatchObject({
      state: 'EnablingProtection',
      disks: [
        { diskId: 'a', sizeBytes: 4_096 },
        { diskId: 'b', sizeBytes: 8_192 },
      ],
      target: { vmName: 'web-01-prod', enableRdp: 'Never' },
      currentJob: { scenario: 'EnableDr', jobId: made.jobId },
    });
  });

  it('takes only the disks asked for, whatever is wrong with the others', () => {
    const [first, second] = machineOfTest.machine.disks;
    const disks = [first!, { ...second!, capacityBytes: 4_097 }];
    expect(plan({ disksToInclude: [disk('A')] }, { disks }).disks).toMatchObject([{ diskId: 'a' }]);
    expect(() => plan({}, { disks })).toThrow(/not a multiple of 512/u);
  });

  it.each([
    ['has no disks', {}, { disks: [] }],
    ["has no disk 'z'", { disksToInclude: [disk('z')] }, {}],
    ['no process server', { processServerId: 'x' }, {}],
    ['can not be the name', { targetAzureVmName: '-web' }, {}],
    ['can not be the name', { targetAzureVmName: 'x'.repeat(64) }, {}],
    ['no subnet', { targetAzureNetworkId: '/n' }, {}],
    ['not powered on', {}, { powerState: 'suspended' as const }],
  ])('is refused where: %s', (reason, input, machine) => {
    expect(() => plan(input, machine)).toThrow(new RegExp(reason, 'u'));
  });

  it('takes the same request as the same, in any casing of names', () => {
    const again = { ...requestOfTest, names: { ...requestOfTest.names, itemName: 'WEB01' } };
    expect(hashRequest(again)).toBe(itemOfTest.requestHash);
    expect(() => refuseOther(itemOfTest, hashRequest(again))).not.toThrow();
    const other = hashRequest({ ...requestOfTest, policyName: 'silver' });
    expect(() => refuseOther(itemOfTest, other)).toThrow(/exists already/u);
    const going = { ...itemOfTest, state: 'DisablingProtection' as const };
    expect(() => refuseOther(going, hashRequest(again))).toThrow(/being disabled/u);
  });

  it.each([
    ['web 01 (prod)', 'web-01-prod'],
    ['Büro-Server', 'Bu-ro-Server'],
    ['🚀', 'recovered-machine'],
    ['x'.repeat(100), 'x'.repeat(63)],
  ])('makes of %s the name %s', (name, expected) => {
    expect(azureNameOf(name)).toBe(expected);
  });
});

function disk(diskId: string) {
  return { diskId, logStorageAccountId: undefined, diskType: undefined };
}
