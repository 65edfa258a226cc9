import { spawn } from 'node:child_process';
import { request } from 'node:http';
import { extname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { DomainError } from '../shared/fault.ts';
import {
  ControlAnswers,
  controlSocketName,
  ControlReply,
  type ControlAnswer,
  type ControlRequest,
} from '../shared/wire/appliance-control.ts';

const answerTimeoutMs = 120_000;

/**
 * Asks the appliance of a data folder: over its control socket while it runs, else its store through the appliance's
 * own program.
 *
 * @throws DomainError with the appliance's fault.
 */
export async function askAppliance<R extends ControlRequest>(
  dataFolder: string,
  request: R,
): Promise<ControlAnswer<R['op']>> {
  const json = JSON.stringify(request);
  const reply = ControlReply.parse(
    JSON.parse((await askRunning(dataFolder, json)) ?? (await askStopped(dataFolder, json))),
  );
  if ('fault' in reply) throw new DomainError(reply.fault);
  return ControlAnswers[request.op].parse(reply.value) as ControlAnswer<R['op']>;
}

/** Undefined when nothing listens there. */
async function askRunning(dataFolder: string, json: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const call = request({
      socketPath: join(dataFolder, controlSocketName),
      path: '/control',
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) },
      signal: AbortSignal.timeout(answerTimeoutMs),
    });
    call.on('response', (response) => void text(response).then(resolve, reject));
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else reject(unanswered(dataFolder, error));
    });
    call.end(json);
  });
}

async function askStopped(dataFolder: string, json: string): Promise<string> {
  const program = fileURLToPath(new URL(`../appliance/control${extname(import.meta.url)}`, import.meta.url));
  const child = spawn(process.execPath, [program, '--data-folder', dataFolder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(json);
  return text(child.stdout);
}

function unanswered(dataFolder: string, error: NodeJS.ErrnoException): DomainError {
  const denied = error.code === 'EACCES' || error.code === 'EPERM';
  return new DomainError(
    {
      code: denied ? 'AuthorizationFailed' : 'Unavailable',
      message: `The appliance of ${dataFolder} did not answer: ${error.message}.`,
      recommendedAction: denied
        ? 'Run this as the user that the appliance runs as.'
        : 'Look at its log, and start it again if it hangs: nothing is lost by that.',
    },
    { cause: error },
  );
}
