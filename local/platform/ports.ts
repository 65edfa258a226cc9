import { findFreePort } from '../free-port.ts';
import type { Ports } from './config.ts';

/** Where people expect the services: Azurite's, Service Bus emulator's and Functions Core Tools' ports. */
const USUAL: Ports = {
  blob: 10_000,
  queue: 10_001,
  table: 10_002,
  serviceBus: 5672,
  serviceBusAdmin: 5300,
  functions: 7071,
  tokenIssuer: 7072,
  catalogue: 7073,
};

/**
 * Chooses a free port for each service: that of the last run, so that endpoints survive restarts, else the usual one,
 * else any.
 */
export async function choosePorts(last: Ports | undefined, useUsual: boolean): Promise<Ports> {
  const ports: Partial<Ports> = {};
  const taken = new Set<number>();
  for (const name of Object.keys(USUAL) as (keyof Ports)[]) {
    let port = await findFreePort(last?.[name] ?? (useUsual ? USUAL[name] : 0));
    while (taken.has(port)) port = await findFreePort();
    taken.add(port);
    ports[name] = port;
  }
  return ports as Ports;
}
