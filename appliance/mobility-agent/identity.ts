import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { DomainError } from '../../shared/fault.ts';
import { writeSecretFile } from '../../shared/secret-file.ts';

/** What an enrolled agent knows: its machine, its process server, and the key that proves it. */
const AgentIdentity = z.object({
  biosUuid: z.guid(),
  host: z.string(),
  port: z.number().int(),
  caCertificatePem: z.string(),
  certificatePem: z.string(),
  privateKeyPem: z.string(),
});
export type AgentIdentity = z.infer<typeof AgentIdentity>;

const identityFile = 'agent.json';
const biosUuidFile = '/sys/class/dmi/id/product_uuid';

export function saveIdentity(dataFolder: string, identity: AgentIdentity): void {
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  writeSecretFile(join(dataFolder, identityFile), JSON.stringify(identity, undefined, 2));
}

/** Whether the machine was enrolled. */
export function hasIdentity(dataFolder: string): boolean {
  return existsSync(join(dataFolder, identityFile));
}

/** @throws DomainError ResourceNotFound when the agent is not enrolled, or its file is broken. */
export function loadIdentity(dataFolder: string): AgentIdentity {
  const path = join(dataFolder, identityFile);
  try {
    return AgentIdentity.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (cause) {
    throw new DomainError(
      {
        code: 'ResourceNotFound',
        message: `This mobility agent is not enrolled: ${path} is missing or broken.`,
        target: path,
        recommendedAction: "Run 'secondsite agent enrol' first.",
      },
      { cause },
    );
  }
}

/**
 * The machine's BIOS UUID, as the hypervisor shows it to the guest.
 *
 * @throws DomainError InvalidRequest when the firmware tells none, or one that is no UUID.
 */
export function readBiosUuid(): string {
  try {
    return z.guid().parse(readFileSync(biosUuidFile, 'utf8').trim().toLowerCase());
  } catch (cause) {
    throw new DomainError(
      {
        code: 'InvalidRequest',
        message: `The machine's BIOS UUID can not be read from ${biosUuidFile}.`,
        recommendedAction: 'Run as root, or give it with --bios-uuid as vCenter shows it.',
      },
      { cause },
    );
  }
}
