import { createServer } from 'node:net';

/**
 * Finds a TCP port of 127.0.0.1 that nothing listens on: the wished one when it is free, else any.
 * The port is released again before it is returned, so another process can still take it in between.
 */
export async function findFreePort(wished = 0): Promise<number> {
  return (await probePort(wished)) ?? (await probePort(0)) ?? 0;
}

function probePort(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(undefined);
      else reject(error);
    });
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : undefined));
    });
  });
}
