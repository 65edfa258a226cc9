import { describe, expect, it } from 'vitest';
import { osTypeOf, unescapeName } from './guest-os.ts';

describe('the operating system family', () => {
  it.each([
    ['windows2019srvNext_64Guest', '', 'WINDOWS'],
    ['winNetStandardGuest', '', 'WINDOWS'],
    ['rhel9_64Guest', '', 'LINUX'],
    ['amazonlinux3_64Guest', '', 'LINUX'],
    ['vmwarePhoton64Guest', '', 'LINUX'],
    ['other5xLinux64Guest', '', 'LINUX'],
    ['rockylinux_64Guest', '', 'LINUX'],
    ['freebsd13_64Guest', '', 'OTHER'],
    ['darwin21_64Guest', 'linuxGuest', 'OTHER'],
    ['otherGuest64', 'linuxGuest', 'LINUX'],
    ['otherGuest', 'windowsGuest', 'WINDOWS'],
    ['otherGuest64', '', 'OTHER'],
    ['', '', 'OTHER'],
  ])('of %s (%s) is found', (guestId, family, expected) => {
    expect(osTypeOf(guestId, family)).toBe(expected);
  });
});

describe('a name as vSphere stores it', () => {
  it('is decoded once, and only what vSphere escapes', () => {
    expect(unescapeName('a%2fb%5Cc%25d')).toBe('a/b\\c%d');
    expect(unescapeName('%252f')).toBe('%2f');
    expect(unescapeName('100%20 %zz %')).toBe('100%20 %zz %');
  });
});
