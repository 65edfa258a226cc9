import type { Fault } from '../../../shared/fault.ts';

/** A whole disk, as the machine sees it. */
export interface DiskFact {
  name: string;
  sizeBytes: number;
}

/** Room in a folder's file system. */
export interface SpaceFact {
  path: string;
  freeBytes: number;
  /** The whole disk it lies on; undefined where the system doesn't say (a container's own file system). */
  disk: string | undefined;
}

/** A server program that runs on the machine beside the appliance. */
export interface ServerRole {
  role: 'directory' | 'web' | 'hypervisor';
  program: string;
}

/** A network card that reaches other machines. */
export interface AdapterFact {
  name: string;
  /** The kernel's driver: 'vmxnet3', 'virtio_net'… Empty where it is not known. */
  driver: string;
  addresses: string[];
  /** The address comes from DHCP; undefined where it could not be found out. */
  isDynamic: boolean | undefined;
}

/** What is so of the machine itself, whatever the network does. Undefined: it could not be measured here. */
export interface MachineFacts {
  platform: 'linux' | 'windows';
  os: { id: string; version: string; name: string };
  /** 'C.UTF-8', 'en-US'. */
  locale: string;
  processors: number;
  memoryBytes: number;
  disks: DiskFact[] | undefined;
  /** Where the cache will lie: the data folder. */
  cache: SpaceFact;
  systemDisk: string | undefined;
  /** The roomiest file system on a disk that is neither the system's nor the cache's; undefined where there is none. */
  retention: SpaceFact | undefined;
  serverRoles: ServerRole[] | undefined;
  isVMware: boolean;
  adapters: AdapterFact[] | undefined;
}

/** A port that the appliance needs or must not find in other hands. */
export interface PortFact {
  port: number;
  /** ours: the appliance of this data folder listens there. */
  state: 'free' | 'ours' | 'taken' | 'forbidden';
  /** Addresses of this machine at which a listener on the port was reached. */
  reachedAt: string[];
  /** Why it is not free. */
  reason?: string;
}

/** A clock beside this machine's. */
export interface ClockFact {
  /** Who was asked. */
  source: string;
  /** Theirs minus ours; undefined when there was no answer. */
  differenceMs?: number;
  /** Why there was none. */
  reason?: string;
}

/** What is so of the machine's network. */
export interface NetworkFacts {
  dataPort: PortFact | 'chosenAtStart';
  httpsPort: PortFact;
  /** Undefined while no vault is known. */
  vault: { address: string; proxy?: string; fault?: Fault } | undefined;
  serviceClock: ClockFact | undefined;
  /** Undefined where no time server is set up. */
  timeServerClock: ClockFact | undefined;
}
