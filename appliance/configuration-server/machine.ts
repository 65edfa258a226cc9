import { readFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import type { ApplianceMachine } from '../../shared/wire/registration.ts';
import { version } from '../version.ts';

/** The machine that the configuration server runs on. */
export function describeMachine(): ApplianceMachine {
  return {
    hostName: hostname().slice(0, 255) || 'localhost',
    biosId: findBiosId(),
    ipAddress: findIpAddress(),
    osName: findOsName().slice(0, 255),
    version,
  };
}

/** The SMBIOS uuid, which only root may read; else the machine id of systemd, which is as stable. */
function findBiosId(): string {
  const bios = findText('/sys/class/dmi/id/product_uuid')?.trim().toLowerCase();
  if (bios !== undefined && bios !== '') return bios.slice(0, 64);
  const machine = findText('/etc/machine-id')?.trim() ?? '';
  return /^[0-9a-f]{32}$/u.test(machine)
    ? machine.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, '$1-$2-$3-$4-$5')
    : '';
}

/** The first address that other machines can reach; IPv4 first. */
function findIpAddress(): string {
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((address) => !address.internal);
  const chosen = addresses.find((address) => address.family === 'IPv4') ?? addresses[0];
  return chosen?.address ?? '127.0.0.1';
}

function findOsName(): string {
  const release = findText('/etc/os-release') ?? '';
  const name = /^PRETTY_NAME="?([^"\n]*)"?$/mu.exec(release)?.[1];
  return name === undefined || name === '' ? `${process.platform} ${process.arch}` : name;
}

function findText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
