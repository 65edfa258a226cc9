/** One measurement of bench/discovery.ts: `wire|full|heard|incremental`, port, user, password; prints a sample as JSON. */
import { VCenterWatcher } from '../appliance/configuration-server/vcenter-watcher.ts';
import { propertySet, viewSet, VSphereClient } from '../appliance/configuration-server/vsphere/client.ts';
import { machineProperties } from '../appliance/configuration-server/vsphere/machine.ts';
import { Picture } from '../appliance/configuration-server/vsphere/picture.ts';
import { MachineWatch } from '../appliance/configuration-server/vsphere/watch.ts';
import type { DiscoveryReport } from '../shared/wire/discovery.ts';

const [what, port, user = '', password = ''] = process.argv.slice(2);
const settings = { host: '127.0.0.1', port: Number(port), user, password };
const changes = 10;

interface Measured {
  seconds: number;
  machines: number;
}

/** The properties off the wire, parsed and thrown away. */
async function wire(): Promise<Measured> {
  const client = await VSphereClient.connect(settings);
  const startedAt = performance.now();
  let machines = 0;
  const view = await client.createView(['VirtualMachine']);
  const spec = `<specSet>${propertySet('VirtualMachine', machineProperties)}${viewSet(view)}</specSet><options/>`;
  await client.call('RetrievePropertiesEx', client.service.propertyCollector, spec, {
    name: 'objects',
    onElement: () => (machines += 1),
  });
  const seconds = (performance.now() - startedAt) / 1_000;
  await client.close();
  return { seconds, machines };
}

/** A whole discovery, to the report as it is sent. */
async function full(): Promise<Measured> {
  const client = await VSphereClient.connect(settings);
  const startedAt = performance.now();
  const picture = await Picture.read(client);
  const { machines } = picture.report('bench', Date.now());
  const seconds = (performance.now() - startedAt) / 1_000;
  await client.close();
  return { seconds, machines: machines.length };
}

/** From the first of ten changes to the picture that has all of them. */
async function incremental(): Promise<Measured> {
  const { promise, resolve } = Promise.withResolvers<DiscoveryReport>();
  const prefix = `changed-${Date.now()}`;
  const watcher = await VCenterWatcher.start({
    vCenterName: 'bench',
    settings,
    onReport: (report) => {
      if (report.machines.filter(({ name }) => name.startsWith(prefix)).length === changes) resolve(report);
    },
    onLost: (error) => {
      throw error;
    },
  });
  const morefs = watcher.first.machines.slice(0, changes).map(({ moref }) => moref);
  const startedAt = performance.now();
  await rename(morefs, prefix);
  const { machines } = await promise;
  const seconds = (performance.now() - startedAt) / 1_000;
  return { seconds, machines: machines.length };
}

/** The same ten changes as the server tells them, to somebody who does nothing with them. */
async function heard(): Promise<Measured> {
  const client = await VSphereClient.connect(settings);
  const morefs: string[] = [];
  await client.collect({ VirtualMachine: ['name'] }, ({ moref }) => morefs.push(moref));
  const watch = await MachineWatch.start(client);
  const waiting = new Set(morefs.slice(0, changes));
  const startedAt = performance.now();
  await rename([...waiting], `heard-${Date.now()}`);
  while (waiting.size > 0) for (const moref of (await watch.next(30)).changed) waiting.delete(moref);
  const seconds = (performance.now() - startedAt) / 1_000;
  await client.close();
  return { seconds, machines: morefs.length };
}

async function rename(morefs: readonly string[], prefix: string): Promise<void> {
  const client = await VSphereClient.connect(settings);
  for (const moref of morefs) {
    const machine = { type: 'VirtualMachine', moref };
    await client.call('Rename_Task', machine, `<newName>${prefix}-${moref}</newName>`);
  }
  await client.close();
}

const measured = await { wire, full, heard, incremental }[
  what as 'wire' | 'full' | 'heard' | 'incremental'
](); // bench/discovery.ts gives one
const peakRssMb = process.resourceUsage().maxRSS / 1024;
process.stdout.write(`${JSON.stringify({ ...measured, peakRssMb })}\n`, () => process.exit(0));
