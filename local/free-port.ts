import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Ports that are tried at random: below those that operating systems give to outgoing connections, so that a server
 * which is down for a moment finds its port free again.
 */
const FIRST_PORT = 15_000;
const LAST_PORT = 32_000;
const TRIES = 100;

/**
 * Finds a TCP port of 127.0.0.1 that nothing listens on: the wished one when it is free, else any.
 * The port is released again before it is returned, so another process can still take it in between.
 */
export async function findFreePort(wished = 0): Promise<number> {
  if (wished !== 0 && (await isFree(wished))) return wished;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const port = randomInt(FIRST_PORT, LAST_PORT);
    if (await isFree(port)) return port;
  }
  throw new Error(`No free port was found between ${FIRST_PORT} and ${LAST_PORT} in ${TRIES} tries`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false);
      else reject(error);
    });
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
