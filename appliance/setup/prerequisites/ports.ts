import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { PortFact } from './machine-facts.ts';

const connectTimeoutMs = 2_000;
const anyAddress = new Set(['0.0.0.0', '::', '']);

/**
 * Listens on a port for a moment and connects to it at each address that other machines would use.
 *
 * @param host what the appliance listens on
 * @param isOurs whether the appliance of this data folder runs: then it is what listens there
 */
export async function measurePort(port: number, host: string, isOurs: () => boolean): Promise<PortFact> {
  const server = createServer((socket) => socket.destroy());
  try {
    server.listen(port, host);
    await once(server, 'listening');
    return { port, state: 'free', reachedAt: await reachedAt(port, host) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    if (code === 'EADDRINUSE' && isOurs())
      return { port, state: 'ours', reachedAt: await reachedAt(port, host) };
    const state = code === 'EACCES' ? 'forbidden' : 'taken';
    return { port, state, reachedAt: [], reason: reasons[code] ?? code };
  } finally {
    await close(server);
  }
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there',
  EACCES: 'ports below 1024 are for root and for programs with CAP_NET_BIND_SERVICE',
  EADDRNOTAVAIL: 'the machine has no such address',
};

async function reachedAt(port: number, host: string): Promise<string[]> {
  const addresses = anyAddress.has(host) ? ownAddresses() : [host];
  const reached = await Promise.all(addresses.map(async (address) => canConnect(address, port)));
  return addresses.filter((_, index) => reached[index]);
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, family }) => !internal && family === 'IPv4')
    .map(({ address }) => address);
}

function canConnect(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: connectTimeoutMs });
    const end = (reached: boolean) => (): void => {
      socket.destroy();
      resolve(reached);
    };
    socket.once('connect', end(true));
    socket.once('timeout', end(false));
    socket.once('error', end(false));
  });
}

async function close(server: Server): Promise<void> {
  if (server.listening) await new Promise((resolve) => server.close(resolve));
}
