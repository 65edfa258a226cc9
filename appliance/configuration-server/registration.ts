import { readFileSync, statSync } from 'node:fs';
import { decodeJwt, SignJWT } from 'jose';
import { z } from 'zod';
import { KiB } from '../../shared/bytes.ts';
import { DomainError } from '../../shared/fault.ts';
import {
  RegistrationKeyClaims,
  RegistrationKeyFile,
  RegistrationResult,
  type RegistrationRequest,
} from '../../shared/wire/registration.ts';
import { describeMachine } from './machine.ts';
import { ensureIdentity, findPrerequisites, putRegistration, type Registration } from './identity.ts';
import type { Store } from './store.ts';
import type { WebClient } from './web-client.ts';

/** The clocks may differ by this much; beyond it the vault refuses and so does the appliance. */
export const clockToleranceMs = 15 * 60 * 1000;

/** A registration key as it was read; who signed it is the vault's to judge. */
export interface RegistrationKey {
  path: string;
  file: RegistrationKeyFile;
  claims: RegistrationKeyClaims;
}

/**
 * Reads a registration key file.
 *
 * @throws DomainError InvalidRequest when the file is missing or not a key.
 */
export function readRegistrationKey(path: string): RegistrationKey {
  const file = RegistrationKeyFile.safeParse(parseJson(readText(path)));
  if (!file.success) throw notAKey(path, z.prettifyError(file.error));
  const claims = RegistrationKeyClaims.safeParse(decodeClaims(path, file.data.key));
  if (!claims.success) throw notAKey(path, z.prettifyError(claims.error));
  return { path, file: file.data, claims: claims.data };
}

/** @throws DomainError RegistrationKeyExpired */
export function refuseExpired({ path, claims }: RegistrationKey, nowMs: number): void {
  const expiresAtMs = claims.exp * 1000;
  if (expiresAtMs > nowMs) return;
  throw new DomainError({
    code: 'RegistrationKeyExpired',
    message: `The registration key ${path} expired on ${isoTime(expiresAtMs)}; this machine's clock says ${isoTime(nowMs)}.`,
    target: path,
    recommendedAction:
      'Set the clock if it is wrong; otherwise download a new key from the vault. A key is valid for five days.',
  });
}

/**
 * Registers the appliance at the key's vault and keeps who it is from now on. Repeating it after a lost answer gives
 * the same result, because the key pairs are made and stored before the first try.
 *
 * @throws DomainError RegistrationKeyUsed, RegistrationKeyExpired, ClockSkew, AuthenticationFailed (forged), Unavailable.
 */
export async function register(
  store: Store,
  web: WebClient,
  key: RegistrationKey,
  signal?: AbortSignal,
): Promise<Registration> {
  const { claims, file } = key;
  const identity = ensureIdentity(store);
  const prerequisites = findPrerequisites(store);
  const sentAtMs = Date.now();
  const request: RegistrationRequest = {
    registrationKey: file.key,
    signingKey: identity.signingPublicKey,
    encryptionKey: identity.encryptionPublicKey,
    proof: await new SignJWT({ jti: claims.jti })
      .setProtectedHeader({ alg: 'ES256' })
      .setAudience(claims.vaultId)
      .setIssuedAt(Math.floor(sentAtMs / 1000))
      .sign(identity.signingKey),
    machine: describeMachine(),
    ...(prerequisites === undefined ? {} : { prerequisites }),
  };
  const url = `${vaultUrl(claims.endpoint, claims.vaultId)}/secondsite/registrations`;
  const { serverTimeMs, ...result } = await web.postJson(url, request, RegistrationResult, signal);
  refuseSkew(clockDifference(serverTimeMs, sentAtMs, Date.now()));
  const registration: Registration = {
    ...result,
    vaultName: file.vaultName,
    endpoint: claims.endpoint,
    keyId: claims.jti,
    registeredAtMs: Date.now(),
    ...(claims.caCertificatePem === undefined ? {} : { caCertificatePem: claims.caCertificatePem }),
  };
  putRegistration(store, registration);
  return registration;
}

/** Base address of a vault's resources. */
export function vaultUrl(endpoint: string, vaultId: string): string {
  return `${endpoint.replace(/\/+$/u, '')}${vaultId}`;
}

/** How far the service's clock is ahead of ours, taking its time as of the middle between asking and hearing. */
export function clockDifference(serverTimeMs: number, sentAtMs: number, heardAtMs: number): number {
  return Math.round(serverTimeMs - (sentAtMs + heardAtMs) / 2);
}

/** @throws DomainError ClockSkew beyond 15 minutes. */
export function refuseSkew(differenceMs: number): void {
  if (Math.abs(differenceMs) <= clockToleranceMs) return;
  const minutes = Math.round(Math.abs(differenceMs) / 60_000);
  throw new DomainError({
    code: 'ClockSkew',
    message: `This machine's clock is ${minutes} minutes ${differenceMs > 0 ? 'behind' : 'ahead of'} the vault's; at most 15 are accepted.`,
    recommendedAction:
      'Set the clock, and keep it right with a time service such as chrony or systemd-timesyncd.',
  });
}

function decodeClaims(path: string, token: string): unknown {
  try {
    return decodeJwt(token);
  } catch (error) {
    throw notAKey(path, error instanceof Error ? error.message : String(error));
  }
}

function readText(path: string): string {
  try {
    if (statSync(path).size > 128 * KiB) throw notAKey(path, 'it is larger than 128 KB');
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof DomainError) throw error;
    throw new DomainError(
      {
        code: 'InvalidRequest',
        message: `The registration key can't be read: ${error instanceof Error ? error.message : String(error)}.`,
        target: path,
        recommendedAction: 'Give the path of the file that was downloaded from the vault.',
      },
      { cause: error },
    );
  }
}

function notAKey(path: string, reason: string): DomainError {
  return new DomainError({
    code: 'InvalidRequest',
    message: `${path} is not a vault registration key: ${reason}`.slice(0, 4_000),
    target: path,
    recommendedAction: 'Download the registration key from the vault again and give that file unchanged.',
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
