/** How the appliance reaches the cloud: directly, through the machine's proxy, or through one of its own. */
import type { ServiceBusClientOptions } from '@azure/service-bus';
import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { DomainError } from '../../shared/fault.ts';
import { findSecret, findSetting, inTransaction, putSecret, putSetting, type Store } from './store.ts';

/** What is kept; the password lies apart, sealed. */
const Internet = z.discriminatedUnion('mode', [
  z.object({ mode: z.literal('direct') }),
  /** HTTPS_PROXY of the process, or of /etc/environment. */
  z.object({ mode: z.literal('machine') }),
  z.object({
    mode: z.literal('custom'),
    address: z.string().min(1).max(255),
    port: z.number().int().min(1).max(65_535),
    user: z.string().min(1).max(255).optional(),
  }),
]);
type Internet = z.infer<typeof Internet>;

/** What setup is told of the way to the internet. */
export type InternetSettings = Internet & { password?: string | undefined };

const passwordName = 'proxy-password';

/** Keeps the way to the internet. */
export function putInternet(store: Store, { password = '', ...settings }: InternetSettings): void {
  inTransaction(store, () => {
    putSetting(store, 'internet', JSON.stringify(Internet.parse(settings)));
    putSecret(store, passwordName, password);
  });
}

/**
 * The proxy's address with user and password, or undefined where there is none.
 *
 * @throws DomainError InvalidRequest when the machine's own proxy is none that HTTP can be spoken to.
 */
export function findProxyUrl(store: Store): string | undefined {
  const text = findSetting(store, 'internet');
  if (text === undefined) return undefined;
  return proxyUrlOf({ ...Internet.parse(JSON.parse(text)), password: findSecret(store, passwordName) });
}

/** The same for settings that are not kept yet. @throws DomainError as {@link findProxyUrl} */
export function proxyUrlOf(settings: InternetSettings): string | undefined {
  if (settings.mode === 'direct') return undefined;
  if (settings.mode === 'machine') return findMachineProxy();
  const { address, port, user, password = '' } = settings;
  const login = user === undefined ? '' : `${encodeURIComponent(user)}:${encodeURIComponent(password)}@`;
  return readProxyUrl(`http://${login}${address.includes(':') ? `[${address}]` : address}:${port}`);
}

/** Service Bus over WebSocket on port 443, the one way that proxies let through; over AMQP's own port without one. */
export function serviceBusOptions(
  proxyUrl: string | undefined,
  caCertificatePem: string | undefined,
): ServiceBusClientOptions {
  if (proxyUrl === undefined) return {};
  const ca = caCertificatePem === undefined ? {} : { ca: caCertificatePem };
  const agent = new Agent({ proxyEnv: { HTTPS_PROXY: proxyUrl }, ...ca });
  return { webSocketOptions: { webSocket: WebSocket, webSocketConstructorOptions: { agent } } };
}

function findMachineProxy(): string | undefined {
  const own = process.env['HTTPS_PROXY'] || process.env['https_proxy'];
  const found = own || /^\s*(?:export\s+)?https_proxy=["']?([^"'\s]+)/imu.exec(readEnvironmentFile())?.[1];
  return found === undefined ? undefined : readProxyUrl(found.includes('://') ? found : `http://${found}`);
}

function readEnvironmentFile(): string {
  try {
    return readFileSync('/etc/environment', 'utf8');
  } catch {
    return '';
  }
}

function readProxyUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && (url.protocol === 'http:' || url.protocol === 'https:')) return url.href;
  throw new DomainError({
    code: 'InvalidRequest',
    message: 'The proxy’s address is none of the form host and port.',
    target: 'proxy',
    recommendedAction: 'Give the name or address of an HTTP proxy, and its port.',
  });
}
