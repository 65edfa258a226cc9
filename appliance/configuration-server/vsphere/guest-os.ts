import type { OsType } from '../../../shared/wire/discovery.ts';

// vSphere's guest ids that are Linux and don't say so: https://developer.broadcom.com/xapis/vsphere-web-services-api (VirtualMachineGuestOsIdentifier).
const linux =
  /linux|ubuntu|debian|rhel|redhat|centos|fedora|suse|sles|oes|nld9|sjds|mandr|asianux|rocky|alma|coreos|flatcar|photon|crxpod|other(2[46]|[3-9])x/iu;

/**
 * Site Recovery's family of a guest, from vSphere's id of its operating system; where the id says only 'other', from
 * the family that VMware Tools reports.
 */
export function osTypeOf(guestId: string, guestFamily: string): OsType {
  if (/^win/iu.test(guestId)) return 'WINDOWS';
  if (linux.test(guestId)) return 'LINUX';
  if (!/^(other(Guest.*)?)?$/iu.test(guestId)) return 'OTHER';
  if (guestFamily === 'windowsGuest') return 'WINDOWS';
  return guestFamily === 'linuxGuest' ? 'LINUX' : 'OTHER';
}

/** vSphere stores '/', '\' and '%' in names as %2f, %5c and %25, and nothing else. */
export function unescapeName(name: string): string {
  return name.replaceAll(/%(2f|5c|25)/giu, (_whole, code: string) =>
    String.fromCodePoint(Number.parseInt(code, 16)),
  );
}
