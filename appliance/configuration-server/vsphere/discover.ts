import { DiscoveryLimits, DiscoveryReport } from '../../../shared/wire/discovery.ts';
import type { VSphereClient } from './client.ts';
import { unescapeName } from './guest-os.ts';
import { machineProperties, readMachine, type MachineReading } from './machine.ts';
import { VSphereError } from './vsphere-error.ts';

/**
 * Reads all machines that the account may see on a vCenter or an ESXi host, in the order of their ids. Templates
 * are not among them; machines that cannot be described are listed apart, with the reason.
 *
 * @param vCenterName what the vault calls this server.
 * @throws VSphereError Unreachable, NoPermission, BadAnswer, SessionEnded, ServerFault.
 */
export async function discover(client: VSphereClient, vCenterName: string): Promise<DiscoveryReport> {
  const discoveredAtMs = Date.now();
  const names = await readNames(client);
  const readings = new Map<string, MachineReading>();
  await client.collect({ VirtualMachine: machineProperties }, (object) => {
    readings.set(object.moref, readMachine(object, names));
  });
  const inOrder = [...readings.values()];
  const report = DiscoveryReport.safeParse({
    vCenterName,
    fingerprint: client.fingerprint,
    apiType: client.about.apiType,
    product: client.about.product.slice(0, DiscoveryLimits.nameLength),
    version: client.about.version,
    instanceUuid: client.about.instanceUuid,
    machines: inOrder
      .flatMap((reading) => (reading.kind === 'machine' ? [reading.machine] : []))
      .sort((a, b) => compareText(a.moref, b.moref)),
    leftOut: inOrder.flatMap((reading) =>
      reading.kind === 'leftOut'
        ? [{ moref: reading.moref, name: reading.name, reason: reading.reason }]
        : [],
    ),
    discoveredAtMs,
  });
  if (report.success) return report.data;
  const where = report.error.issues.map((issue) => issue.path.join('.'))[0] ?? '';
  throw new VSphereError('BadAnswer', `${client.address} gives no usable value for '${where}'`);
}

/** Names of what machines refer to by id. */
async function readNames(client: VSphereClient): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  await client.collect({ HostSystem: ['name'], Datastore: ['name'], Network: ['name'] }, (object) => {
    const name = object.properties.get('name')?.text ?? '';
    if (name !== '') names.set(object.moref, unescapeName(name).slice(0, DiscoveryLimits.nameLength));
  });
  return names;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
