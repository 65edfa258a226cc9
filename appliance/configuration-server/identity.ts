import { createPrivateKey, generateKeyPairSync, randomInt, type KeyObject } from 'node:crypto';
import { DomainError } from '../../shared/fault.ts';
import { PrerequisiteReport } from '../../shared/wire/prerequisite.ts';
import { PublicKeyJwk, RegistrationResult } from '../../shared/wire/registration.ts';
import { z } from 'zod';
import { findSecret, findSetting, inTransaction, putSecret, putSetting, type Store } from './store.ts';

/** The configuration server's own keys. The private halves never leave the machine. */
export interface Identity {
  signingKey: KeyObject;
  signingPublicKey: PublicKeyJwk;
  encryptionKey: KeyObject;
  encryptionPublicKey: PublicKeyJwk;
}

/** Who the appliance is in the vault, and where that vault is. */
export const Registration = z.object({
  ...RegistrationResult.omit({ serverTimeMs: true }).shape,
  vaultName: z.string(),
  endpoint: z.url(),
  caCertificatePem: z.string().optional(),
  /** Id of the registration key it was made with. */
  keyId: z.uuid(),
  registeredAtMs: z.number().int(),
});
export type Registration = z.infer<typeof Registration>;

const secretNames = {
  signing: 'signing-key',
  encryption: 'encryption-key',
  passphrase: 'passphrase',
} as const;

/** The keys and the passphrase; made and stored the first time, before anything is sent anywhere. */
export function ensureIdentity(store: Store): Identity {
  return inTransaction(store, () => {
    if (findSecret(store, secretNames.passphrase) === undefined) {
      putSecret(store, secretNames.passphrase, createPassphrase());
    }
    const signing = ensureKey(store, secretNames.signing);
    const encryption = ensureKey(store, secretNames.encryption);
    return {
      signingKey: signing,
      signingPublicKey: publicJwk(signing),
      encryptionKey: encryption,
      encryptionPublicKey: publicJwk(encryption),
    };
  });
}

/** The registration, or undefined before setup. */
export function findRegistration(store: Store): Registration | undefined {
  const text = findSetting(store, 'registration');
  return text === undefined ? undefined : Registration.parse(JSON.parse(text));
}

export function putRegistration(store: Store, registration: Registration): void {
  putSetting(store, 'registration', JSON.stringify(registration));
}

/** What the machine was found to be at the last setup, or undefined when it was never measured. */
export function findPrerequisites(store: Store): PrerequisiteReport | undefined {
  const text = findSetting(store, 'prerequisites');
  return text === undefined ? undefined : PrerequisiteReport.parse(JSON.parse(text));
}

export function putPrerequisites(store: Store, report: PrerequisiteReport): void {
  putSetting(store, 'prerequisites', JSON.stringify(report));
}

/** The passphrase that mobility agents prove at enrolment. */
export function getPassphrase(store: Store): string {
  const passphrase = findSecret(store, secretNames.passphrase);
  if (passphrase === undefined) {
    throw new DomainError({
      code: 'ResourceNotFound',
      message: `${store.dataFolder} has no passphrase yet.`,
      recommendedAction: 'Run `secondsite appliance setup` first.',
    });
  }
  return passphrase;
}

/**
 * Sets the passphrase for enrolments from now on; enrolled agents have certificates and don't need it again.
 *
 * @throws DomainError InvalidRequest when it is too short, too long or not printable.
 */
export function setPassphrase(store: Store, passphrase: string): void {
  if (!/^[\x21-\x7e]{16,128}$/u.test(passphrase)) {
    throw new DomainError({
      code: 'InvalidRequest',
      message: 'A passphrase has 16 to 128 printable ASCII characters and no spaces.',
      target: 'passphrase',
    });
  }
  putSecret(store, secretNames.passphrase, passphrase);
}

/** Starts a new epoch: every start of the appliance has a greater one than all before. */
export function beginEpoch(store: Store): number {
  return inTransaction(store, () => {
    const epoch = Number(findSetting(store, 'epoch') ?? 0) + 1;
    putSetting(store, 'epoch', String(epoch));
    return epoch;
  });
}

function ensureKey(store: Store, name: string): KeyObject {
  const stored = findSecret(store, name);
  if (stored !== undefined) return createPrivateKey(stored);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  putSecret(store, name, privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
  return privateKey;
}

function publicJwk(key: KeyObject): PublicKeyJwk {
  const { kty, crv, x, y } = key.export({ format: 'jwk' });
  return PublicKeyJwk.parse({ kty, crv, x, y });
}

/** 118 random bits in six groups, of letters and digits that can't be taken for one another. */
function createPassphrase(): string {
  const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789';
  const group = (): string => Array.from({ length: 4 }, () => alphabet[randomInt(alphabet.length)]).join('');
  return Array.from({ length: 6 }, group).join('-');
}
