import type { OsType } from '../../../shared/wire/discovery.ts';

// vSphere's guest ids that are Linux and don't say so: https://developer.broadcom.com/xapis/vsphere-web-services-api (VirtualMachineGuestOsIdentifier).
const linux =
  /linux|ubuntu|debian|rhel|redhat|centos|fedora|suse|sles|oes|nld9|sjds|mandr|asianux|rocky|alma|coreos|flatcar|photon|crxpod|other(2[46]|[3-9])x/iu;

/**
 * Site Recovery's family of a guest, from what VMware Tools reports of the running one (its family) and else from
 * the id it is configured with.
 */
export function osTypeOf(guestFamily: string, guestId: string): OsType {
  if (guestFamily === 'windowsGuest') return 'WINDOWS';
  if (guestFamily === 'linuxGuest') return 'LINUX';
  if (/^win/iu.test(guestId)) return 'WINDOWS';
  return linux.test(guestId) ? 'LINUX' : 'OTHER';
}

/** vSphere stores '/', '\' and '%' in names as %2f, %5c and %25, and nothing else. */
export function unescapeName(name: string): string {
  return name.replaceAll(/%(2f|5c|25)/giu, (_whole, code: string) =>
    String.fromCodePoint(Number.parseInt(code, 16)),
  );
}
