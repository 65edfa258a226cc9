// `npm run demo`: the main job, end to end, on this machine.
import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describeError } from '../describe-error.ts';
import { type Platform, startPlatform } from '../platform/platform.ts';
import { Arm } from './arm.ts';
import { changeBlocks, copyImage } from './disk-image.ts';
import { type DemoOptions, help, parseOptions, UsageError } from './options.ts';
import { openReplicaLog, proveChain, proveRestore } from './proof.ts';
import { describeBytes, Reporter } from './reporter.ts';
import { Road } from './road.ts';
import { endLeftovers, Site, type SiteMachine } from './site.ts';

const installation = resolve(import.meta.dirname, '..', '..');
const vaultName = 'ContosoVMVault';

/** What runs, to be ended whatever happens. */
const running: { platform?: Platform; site?: Site } = {};

async function demo(options: DemoOptions): Promise<void> {
  const reporter = new Reporter(options);
  reporter.say('Secondsite: protect a disk and prove it\n');
  const folder = options.dataFolder;
  endLeftovers(folder);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const site = new Site({ folder, installation, onDeath: fail });
  running.site = site;
  const platform = await startLocalPlatform(reporter, folder);
  const arm = new Arm(platform.config, vaultName);
  const road = new Road(arm, reporter, site);
  const machine = await protectOne({ reporter, road, site, platform, disk: options.disk });
  await proveAll({ reporter, road, platform, machine, folder });
  reporter.say(`\nDone in ${reporter.seconds().toFixed(1)} s.`, {
    step: 'demo',
    outcome: 'done',
    seconds: reporter.seconds(),
  });
  if (options.keep) await keepRunning(reporter, platform, site);
}

async function startLocalPlatform(reporter: Reporter, folder: string): Promise<Platform> {
  return reporter.step('Local platform', async () => {
    const platform = await startPlatform({
      dataFolder: join(folder, 'platform'),
      appFolder: installation,
      onNotice: fail,
    });
    running.platform = platform;
    const { armEndpoint } = platform.config;
    return {
      said: `storage, service bus and functions host; API at ${armEndpoint}`,
      figures: { armEndpoint },
      result: platform,
    };
  });
}

async function protectOne(parts: {
  reporter: Reporter;
  road: Road;
  site: Site;
  platform: Platform;
  disk: string | undefined;
}): Promise<SiteMachine> {
  const { reporter, road, site, platform } = parts;
  await reporter.step('Site', async () => {
    site.makeMachines(parts.disk);
    const sizes = site.machines.map(({ name, sizeBytes }) => `${name} ${describeBytes(sizeBytes)}`);
    return {
      said: `three machines, a raw disk each: ${sizes.join(', ')}`,
      figures: { machines: sizes },
      result: undefined,
    };
  });
  await road.makeVault();
  const key = await road.getRegistrationKey();
  const server = await reporter.step('Appliance', async () => {
    const started = await site.startAppliance(key);
    await road.awaitConfigurationServer(started.applianceId);
    const said = `configuration server and process server registered, agents come in at ${started.host}:${started.port}`;
    return { said, figures: started, result: started };
  });
  const { applianceId } = server;
  const accountId = await site.addAccount();
  await road.addVCenter(applianceId, await site.startVCenter(), accountId);
  const items = await road.discover(applianceId);
  const target = await road.checkTarget();
  await road.makePolicy();
  const [machine] = site.machines;
  const item = items.find(({ properties }) => properties?.friendlyName === machine?.name);
  if (!machine || !item) throw new Error('The first machine was not discovered.');
  const startAgent = async (): Promise<void> => {
    await site.startAgent(machine, server);
    site.savePids(platform.config.pids);
  };
  await road.protect(machine, item, { applianceId, ...target, startAgent });
  await road.watchInitialReplication(machine);
  await road.watchFinalize(machine);
  return machine;
}

async function proveAll(parts: {
  reporter: Reporter;
  road: Road;
  platform: Platform;
  machine: SiteMachine;
  folder: string;
}): Promise<void> {
  const { reporter, road, platform, machine, folder } = parts;
  const first = Math.max(...(await road.points(machine)).map(({ sequence }) => sequence));
  const disksThen = new Map([[first, join(folder, 'disk-at-first-point.raw')]]);
  copyImage(machine.diskPath, disksThen.get(first) ?? '');
  await reporter.step('Second recovery point', async () => {
    const changed = changeBlocks(machine.diskPath);
    const point = await road.makePoint(machine);
    disksThen.set(point.sequence, machine.diskPath);
    const { blocks, bytes } = changed;
    const said = `${blocks} blocks changed (${describeBytes(bytes)}, 1 %), ${describeBytes(point.uploadedBytes)} uploaded`;
    return { said, figures: { changedBytes: bytes, uploadedBytes: point.uploadedBytes }, result: undefined };
  });
  const { containerName, anchor, points } = await road.replicaLog(machine);
  const log = await openReplicaLog(platform.config, containerName);
  await proveChain(reporter, log, { containerName, anchor });
  for (const [sequence, diskThen] of disksThen) {
    const point = points.find((one) => one.sequence === sequence);
    if (!point) throw new Error(`The vault has no recovery point ${sequence} of ${machine.name}.`);
    await proveRestore(reporter, log, { point, diskThen, folder });
  }
}

async function keepRunning(reporter: Reporter, platform: Platform, site: Site): Promise<void> {
  const { config } = platform;
  const logs = site.services.map(
    ({ name, pid, logPath }) => `  ${name.padEnd(20)} process ${pid}, log ${logPath}`,
  );
  reporter.say(
    [
      '\nEverything runs on, until Ctrl-C:',
      `  API                  ${config.armEndpoint}`,
      `  settings             ${join(config.dataFolder, 'local.json')}`,
      `  a token              npx secondsite local token --role contributor --data-folder ${config.dataFolder}`,
      `  appliance            npx secondsite appliance status --data-folder ${site.applianceFolder}`,
      ...logs,
    ].join('\n'),
    {
      keep: true,
      armEndpoint: config.armEndpoint,
      settings: join(config.dataFolder, 'local.json'),
      applianceFolder: site.applianceFolder,
    },
  );
  await new Promise(() => {}); // a signal ends it
}

let ending: Promise<void> | undefined;

async function end(): Promise<void> {
  ending ??= (async () => {
    await running.site?.close();
    await running.platform?.close();
  })();
  await ending;
}

/** A part that dies in the middle would only show as a wait without end. */
function fail(sentence: string): void {
  if (ending) return;
  process.stderr.write(`\n${sentence}\n`);
  void end().finally(() => process.exit(1));
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (ending) {
      running.site?.kill();
      running.platform?.kill();
      process.exit(130);
    }
    process.stderr.write('\nStopping; Ctrl-C again kills.\n');
    void end().finally(() => process.exit(130));
  });
}

try {
  const options = parseOptions(process.argv.slice(2), installation);
  if (options) await demo(options);
  else process.stdout.write(help);
  await end();
} catch (error) {
  const isUsage = error instanceof UsageError;
  process.stderr.write(`\n${isUsage ? error.message : `The demo failed: ${describeError(error)}`}\n`);
  await end();
  process.exitCode = isUsage ? 2 : 1;
}
