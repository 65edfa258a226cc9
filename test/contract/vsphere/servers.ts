import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { VCenterInventory } from '../../../local/vcenter/inventory.ts';
import { startVCenter } from '../../../local/vcenter/server.ts';

/** A vSphere server of a test. */
export interface TestServer {
  port: number;
  close(): Promise<void>;
}

export const account = { user: 'administrator@vsphere.local', password: 'p&ss <wörd> "1"' };

/** A local vCenter with its inventory file. */
export interface LocalServer extends TestServer {
  inventoryFile: string;
  problems: string[];
  write(inventory: VCenterInventory): Promise<void>;
}

/** Starts a local vCenter in a folder of its own. */
export async function startLocal(inventory: VCenterInventory): Promise<LocalServer> {
  const folder = await mkdtemp(join(tmpdir(), 'vcenter-'));
  const inventoryFile = join(folder, 'inventory.json');
  const write = (content: VCenterInventory): Promise<void> =>
    writeFile(inventoryFile, JSON.stringify(content));
  await write(inventory);
  const problems: string[] = [];
  const server = await startVCenter({ inventoryFile, onProblem: (message) => problems.push(message) });
  return {
    port: server.port,
    inventoryFile,
    problems,
    write,
    close: async () => {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The same machines as test/vcsim/main.go makes. */
export function sharedInventory(apiType: 'VirtualCenter' | 'HostAgent'): VCenterInventory {
  const nics = [{ mac: '00:0C:29:00:00:01', ipAddresses: ['10.0.0.11'] }];
  const disks = [{ capacityBytes: 1024 * 1024 }];
  return {
    name: 'vcenter.contoso.example',
    apiType,
    account,
    machines: [
      {
        name: 'web/01 100% 💾',
        biosUuid: '4206E2C4-0001-4F6B-9E1A-0D5C7A3B0001',
        instanceUuid: '5006e2c4-0001-4f6b-9e1a-0d5c7a3b0001',
        guestId: 'ubuntu64Guest',
        firmware: 'efi',
        cpus: 2,
        memoryMB: 2048,
        hostName: 'web01.contoso.example',
        nics,
        disks,
      },
      {
        name: 'db & <files>',
        biosUuid: '4206e2c4-0002-4f6b-9e1a-0d5c7a3b0002',
        powerState: 'poweredOff',
        guestId: 'windows9Server64Guest',
        disks,
      },
      { name: 'diskless', biosUuid: '4206e2c4-0003-4f6b-9e1a-0d5c7a3b0003', guestId: 'freebsd64Guest' },
      { name: 'golden image', biosUuid: '4206e2c4-0004-4f6b-9e1a-0d5c7a3b0004', template: true, disks },
      { name: 'plain', biosUuid: '4206e2c4-0005-4f6b-9e1a-0d5c7a3b0005', disks },
    ],
  };
}
