import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { DomainError } from '../../shared/fault.ts';
import type { InternetSettings } from '../configuration-server/outbound.ts';

/** A secret: in the file, or better in an environment variable that the file names. */
const Secret = z.union([z.string().min(1).max(1_000), z.strictObject({ env: z.string().min(1) })]);

/** What setup is told where nobody sits before it. */
export const Answers = z.strictObject({
  role: z.enum(['configurationServer', 'processServer']).default('configurationServer'),
  /** The licences of the packages that the appliance is made of. */
  acceptLicences: z.boolean(),
  /** Path of the registration key; relative to the file with the answers. */
  registrationKey: z.string().min(1),
  internet: z
    .discriminatedUnion('mode', [
      z.strictObject({ mode: z.literal('direct') }),
      z.strictObject({ mode: z.literal('machine') }),
      z.strictObject({
        mode: z.literal('custom'),
        address: z.string().min(1).max(255),
        port: z.number().int().min(1).max(65_535),
        user: z.string().min(1).max(255).optional(),
        password: Secret.optional(),
        /** What is reached without the proxy, as NO_PROXY has it. */
        bypass: z.array(z.string().min(1).max(255)).max(100).optional(),
      }),
    ])
    .default({ mode: 'direct' }),
  /** Go on when the machine is smaller than recommended. */
  acceptUndersized: z.boolean().default(false),
  /** What mobility agents prove when they enrol; left out, one is made. */
  passphrase: Secret.optional(),
  /** Whether the machines to protect are VMware ones. Others are not supported yet. */
  vmware: z.boolean().default(true),
  dataFolder: z.string().min(1).optional(),
  network: z
    .strictObject({
      host: z.string().min(1).max(255).default('0.0.0.0'),
      port: z.number().int().min(0).max(65_535).default(9443),
    })
    .default({ host: '0.0.0.0', port: 9443 }),
  timeServer: z.string().min(1).max(255).optional(),
});
export type Answers = z.infer<typeof Answers>;

/**
 * Reads a file with answers; paths in it are made whole.
 *
 * @throws DomainError InvalidRequest that names the file and everything that is wrong in it.
 */
export function readAnswers(path: string): Answers {
  const parsed = Answers.safeParse(readYaml(path));
  if (!parsed.success) throw badAnswers(path, z.prettifyError(parsed.error));
  const { registrationKey, dataFolder } = parsed.data;
  const whole = (name: string): string => resolve(dirname(path), name);
  return {
    ...parsed.data,
    registrationKey: whole(registrationKey),
    ...(dataFolder === undefined ? {} : { dataFolder: whole(dataFolder) }),
  };
}

/**
 * Refuses what can't be set up.
 *
 * @throws DomainError NotSupported, or InvalidRequest for licences that were not accepted.
 */
export function refuseAnswers({ role, vmware, acceptLicences }: Answers): void {
  if (role === 'processServer') {
    throw new DomainError({
      code: 'NotSupported',
      message:
        'An additional process server that joins an existing configuration server can’t be set up yet.',
      target: 'role',
      recommendedAction: 'Set up a configuration server with a process server in it.',
    });
  }
  if (!vmware) {
    throw new DomainError({
      code: 'NotSupported',
      message: 'Only machines of VMware are discovered and protected.',
      target: 'vmware',
      recommendedAction: 'Set the appliance up where there is a vCenter or an ESXi host.',
    });
  }
  if (acceptLicences) return;
  throw new DomainError({
    code: 'InvalidRequest',
    message: 'The licences of the packages were not accepted.',
    target: 'acceptLicences',
    recommendedAction: 'Read them with `secondsite appliance setup --licences`, and accept them.',
  });
}

/** The way to the internet with its password. @throws DomainError InvalidRequest when its variable is not set */
export function internetOf({ internet }: Answers): InternetSettings {
  if (internet.mode !== 'custom') return internet;
  const { password, ...settings } = internet;
  return password === undefined ? settings : { ...settings, password: readSecret(password) };
}

/** @throws DomainError InvalidRequest when its variable is not set. */
export function passphraseOf({ passphrase }: Answers): string | undefined {
  return passphrase === undefined ? undefined : readSecret(passphrase);
}

function readSecret(secret: z.infer<typeof Secret>): string {
  if (typeof secret === 'string') return secret;
  const value = process.env[secret.env];
  if (value !== undefined && value !== '') return value;
  throw new DomainError({
    code: 'InvalidRequest',
    message: `The environment variable ${secret.env} is not set or empty.`,
    target: secret.env,
  });
}

function readYaml(path: string): unknown {
  try {
    return parse(readFileSync(path, 'utf8'), { maxAliasCount: 0 });
  } catch (error) {
    throw badAnswers(path, error instanceof Error ? error.message : String(error));
  }
}

function badAnswers(path: string, reason: string): DomainError {
  return new DomainError({
    code: 'InvalidRequest',
    message: `The answers in ${path} can't be used: ${reason}`.slice(0, 4_000),
    target: path,
    recommendedAction: 'See docs/appliance.md for what the file may hold.',
  });
}
