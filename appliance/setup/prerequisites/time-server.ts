/** Asks a time server by SNTP (RFC 4330): one packet there, one back. */
import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { readFileSync } from 'node:fs';
import { lookup } from 'node:dns/promises';
import type { ClockFact } from './machine-facts.ts';

const packetBytes = 48;
const answerTimeoutMs = 3_000;
/** NTP counts from 1900, everything else from 1970. */
const ntpEpochSeconds = 2_208_988_800;
/** Version 4, mode 3 (client). */
const clientHeader = 0x23;
/** Where the time of the server's answer stands. */
const transmitOffset = 40;

/** How far a time server's clock is ahead of this machine's. @param server `host` or `host:port` */
export async function askTimeServer(server: string): Promise<ClockFact> {
  const { host, port } = split(server);
  let socket: Socket | undefined;
  try {
    const { address } = await lookup(host);
    socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    const sentAtMs = Date.now();
    const serverMs = readTime(await exchange(socket, address, port));
    return { source: server, differenceMs: Math.round(serverMs - (sentAtMs + Date.now()) / 2) };
  } catch (error) {
    return { source: server, reason: error instanceof Error ? error.message : String(error) };
  } finally {
    socket?.close();
  }
}

/** The time server that the system's own time service is set up with, or undefined. */
export function findTimeServer(root = '/'): string | undefined {
  for (const path of ['etc/chrony/chrony.conf', 'etc/chrony.conf', 'etc/ntp.conf', 'etc/ntpsec/ntp.conf']) {
    const found = /^\s*(?:server|pool|peer)\s+(\S+)/mu.exec(readText(`${root}${path}`))?.[1];
    if (found !== undefined) return found;
  }
  return /^\s*NTP=\s*(\S+)/mu.exec(readText(`${root}etc/systemd/timesyncd.conf`))?.[1];
}

function exchange(socket: Socket, address: string, port: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`it did not answer within ${answerTimeoutMs / 1_000} s`)),
      answerTimeoutMs,
    );
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.once('message', (message) => {
      clearTimeout(timer);
      resolve(message);
    });
    const packet = Buffer.alloc(packetBytes);
    packet[0] = clientHeader;
    // connected, so that only the server asked can answer
    socket.connect(port, address, () => socket.send(packet));
  });
}

/** @throws Error when the answer is none, or the server itself has no time (stratum 0). */
function readTime(packet: Buffer): number {
  if (packet.length < packetBytes || packet[1] === 0) throw new Error('it has no time to give');
  const seconds = packet.readUInt32BE(transmitOffset) - ntpEpochSeconds;
  const fraction = packet.readUInt32BE(transmitOffset + 4) / 2 ** 32;
  return (seconds + fraction) * 1_000;
}

function split(server: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/u.exec(server);
  if (match === null) return { host: server, port: 123 };
  return { host: match[1] ?? match[2] ?? server, port: Number(match[3]) };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
