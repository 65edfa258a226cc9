/**
 * Entry for the command line while the appliance is stopped: one ControlRequest in JSON on standard input is answered
 * from the store by one ControlReply on standard output.
 */
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { DomainError } from '../shared/fault.ts';
import { answerControl } from './configuration-server/control-socket.ts';
import { takeDataFolder } from './configuration-server/single-run.ts';
import { openStore, storeExists } from './configuration-server/store.ts';
import { faultOf } from './configuration-server/tokens.ts';

async function answerFromStore(dataFolder: string): Promise<object> {
  try {
    if (!storeExists(dataFolder)) {
      throw new DomainError({
        code: 'ResourceNotFound',
        message: `There is no appliance set up in ${dataFolder}.`,
        target: dataFolder,
        recommendedAction: 'Give its folder with --data-folder, or run `secondsite appliance setup` first.',
      });
    }
    const giveFree = takeDataFolder(dataFolder);
    const store = openStore(dataFolder);
    try {
      return await answerControl({ store }, await text(process.stdin));
    } finally {
      store.db.close();
      giveFree();
    }
  } catch (error) {
    return { fault: faultOf(error) };
  }
}

process.umask(0o077);
const { values } = parseArgs({ options: { 'data-folder': { type: 'string' } } });
process.stdout.write(`${JSON.stringify(await answerFromStore(resolve(values['data-folder'] ?? '.')))}\n`);
