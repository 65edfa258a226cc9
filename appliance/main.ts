/** Entry of `secondsite appliance run`: runs the appliance in the foreground until SIGTERM or SIGINT. */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { startAppliance, type Appliance } from './appliance.ts';
import { exitWithError } from './exit.ts';
import { applianceLogName } from '../shared/wire/appliance-control.ts';
import { storeExists } from './configuration-server/store.ts';
import { keepLogIn, log } from './log.ts';

/** A stop that hangs is as good as a kill, which the appliance survives too. */
const stopLimitMs = 30_000;

async function main(): Promise<void> {
  process.umask(0o077);
  const { values } = parseArgs({ options: { 'data-folder': { type: 'string' }, json: { type: 'boolean' } } });
  const dataFolder = values['data-folder'];
  if (dataFolder === undefined) throw new Error('--data-folder is missing');
  if (storeExists(dataFolder)) keepLogIn(join(resolve(dataFolder), applianceLogName));
  const appliance = await startAppliance(resolve(dataFolder));
  stopOnSignal(appliance);
  const { applianceId, host, port, caFingerprint } = appliance;
  const ready = { ready: true, applianceId, host, port, caFingerprint, dataFolder: resolve(dataFolder) };
  process.stdout.write(
    values.json === true
      ? `${JSON.stringify(ready)}\n`
      : `The appliance ${applianceId} runs; mobility agents come in at ${host}:${port}. Ctrl-C stops it.\n`,
  );
}

function stopOnSignal(appliance: Appliance): void {
  let stopping = false;
  const stop = (): void => {
    if (stopping) process.exit(130);
    stopping = true;
    setTimeout(() => {
      log.warn('Stopping took too long and is cut short.');
      process.exit(1);
    }, stopLimitMs).unref();
    appliance.close().then(() => process.exit(0), exitWithError);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

main().catch(exitWithError);
