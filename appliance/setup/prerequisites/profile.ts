import { GiB } from '../../../shared/bytes.ts';
import type { MachineFacts, ServerRole } from './machine-facts.ts';

/** What is wanted of a machine that the appliance runs on. */
export interface Profile {
  name: MachineFacts['platform'];
  processors: number;
  memoryBytes: number;
  /** The system's, the cache's and the retention disk of failback. */
  disks: number;
  cacheFreeBytes: number;
  /** Without this much nothing can be installed. */
  leastFreeBytes: number;
  retentionFreeBytes: number;
  /** Oldest releases that are known to work, by the system's id. */
  systems: Readonly<Record<string, string>>;
  locale: { pattern: RegExp; wanted: string };
  adapterDriver: string;
}

/** Both sizes and free space are those of the classic configuration server: https://learn.microsoft.com/azure/site-recovery/vmware-azure-configuration-server-requirements */
const sizes = {
  processors: 8,
  memoryBytes: 12 * GiB,
  disks: 3,
  cacheFreeBytes: 600 * GiB,
  leastFreeBytes: 5 * GiB,
  retentionFreeBytes: 600 * GiB,
  adapterDriver: 'vmxnet3',
} as const;

/** The requirements, by platform. */
export const profiles: Readonly<Record<MachineFacts['platform'], Profile>> = {
  windows: {
    ...sizes,
    name: 'windows',
    // 10.0.14393 is Windows Server 2016; 6.3 is 2012 R2.
    systems: { windows: '6.3' },
    locale: { pattern: /^en-US$/iu, wanted: 'English (en-US)' },
  },
  linux: {
    ...sizes,
    name: 'linux',
    systems: { debian: '12', ubuntu: '22.04', rhel: '9', rocky: '9', almalinux: '9', ol: '9', sles: '15.5' },
    locale: { pattern: /utf-?8/iu, wanted: 'a UTF-8 locale' },
  },
};

/** Programs, by the name the kernel knows them under (15 characters), that make a machine another kind of server. */
export const serverPrograms: Readonly<Record<string, ServerRole['role']>> = {
  slapd: 'directory',
  'ns-slapd': 'directory',
  samba: 'directory',
  krb5kdc: 'directory',
  apache2: 'web',
  httpd: 'web',
  nginx: 'web',
  lighttpd: 'web',
  caddy: 'web',
  libvirtd: 'hypervisor',
  virtqemud: 'hypervisor',
  xenstored: 'hypervisor',
  'vmware-vmx': 'hypervisor',
};
