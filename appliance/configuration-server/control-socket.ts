import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { z } from 'zod';
import { KiB } from '../../shared/bytes.ts';
import { DomainError } from '../../shared/fault.ts';
import { controlSocketName, ControlRequest } from '../../shared/wire/appliance-control.ts';
import { handleControl, type ControlParts } from './control.ts';
import { faultOf } from './tokens.ts';

const requestLimitBytes = 64 * KiB;
/** Unix socket paths end at 107 bytes. */
const pathLimitBytes = 107;

/** @throws DomainError InvalidRequest when the folder's path leaves no room for the control socket's. */
export function checkSocketPath(dataFolder: string): void {
  const excess = Buffer.byteLength(join(dataFolder, controlSocketName)) - pathLimitBytes;
  if (excess <= 0) return;
  throw new DomainError({
    code: 'InvalidRequest',
    message: `The path of the data folder ${dataFolder} is ${excess} bytes too long for the control socket in it.`,
    target: dataFolder,
    recommendedAction: 'Choose a data folder with a shorter path.',
  });
}

/**
 * Listens for the command line on `control.sock` in the data folder. The caller has the data folder for itself, so a
 * socket file found there was left by a process that was killed.
 *
 * @returns what closes it
 */
export async function listenForControl(parts: ControlParts): Promise<() => Promise<void>> {
  checkSocketPath(parts.store.dataFolder);
  const path = join(parts.store.dataFolder, controlSocketName);
  rmSync(path, { force: true });
  const server = createServer((request, response) => void answer(parts, request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  return async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
}

/** One request as text, answered as a ControlReply in JSON. */
export async function answerControl(parts: ControlParts, text: string): Promise<object> {
  try {
    const request = ControlRequest.safeParse(JSON.parse(text));
    if (!request.success) {
      throw new DomainError({
        code: 'InvalidRequest',
        message: z.prettifyError(request.error).slice(0, 4_000),
      });
    }
    return { value: await handleControl(parts, request.data) };
  } catch (error) {
    return { fault: faultOf(error) };
  }
}

async function answer(
  parts: ControlParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > requestLimitBytes) throw new Error('The request is too large');
      chunks.push(chunk);
    }
    const reply = await answerControl(parts, Buffer.concat(chunks).toString('utf8'));
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(reply));
  } catch {
    response.destroy(); // the other side went away, or sent what no command line of ours sends
  }
}
