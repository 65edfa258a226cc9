/** How the appliance reaches the cloud: directly, through the machine's proxy, or through one of its own. */
import type { ServiceBusClientOptions } from '@azure/service-bus';
import { readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent } from 'node:https';
import { getCACertificates } from 'node:tls';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { DomainError } from '../../shared/fault.ts';
import type { UploadAgents } from '../../shared/replica/put-blob.ts';
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
    bypass: z.array(z.string().min(1).max(255)).max(100).optional(),
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

/** A proxy that everything to the cloud goes through. */
export interface Proxy {
  /** `http://user:password@host:port`: holds a secret. */
  url: string;
  /** What is reached without it, as NO_PROXY has it: names, `.domain`, addresses, each with or without a port. */
  bypass: string[];
}

/**
 * The proxy, or undefined where there is none.
 *
 * @throws DomainError InvalidRequest when the machine's own proxy is none that HTTP can be spoken to.
 */
export function findProxy(store: Store): Proxy | undefined {
  const text = findSetting(store, 'internet');
  if (text === undefined) return undefined;
  return proxyOf({ ...Internet.parse(JSON.parse(text)), password: findSecret(store, passwordName) });
}

/** The same for settings that are not kept yet. @throws DomainError as {@link findProxy} */
export function proxyOf(settings: InternetSettings): Proxy | undefined {
  if (settings.mode === 'direct') return undefined;
  if (settings.mode === 'machine') return findMachineProxy();
  const { address, port, user, password = '', bypass = [] } = settings;
  const login = user === undefined ? '' : `${encodeURIComponent(user)}:${encodeURIComponent(password)}@`;
  const url = readProxyUrl(`http://${login}${address.includes(':') ? `[${address}]` : address}:${port}`);
  return { url, bypass };
}

/** The proxy as Node's agents take it: https://nodejs.org/docs/latest-v24.x/api/http.html#built-in-proxy-support */
export function proxyEnvOf(proxy: Proxy | undefined): Record<string, string> {
  if (proxy === undefined) return {};
  return { HTTPS_PROXY: proxy.url, HTTP_PROXY: proxy.url, NO_PROXY: proxy.bypass.join(',') };
}

/** How segments and points are uploaded. A storage account has a public certificate, or one of the vault's own CA. */
export function uploadAgents(
  proxy: Proxy | undefined,
  caCertificatePem: string | undefined,
): Required<UploadAgents> {
  const options = { keepAlive: true, proxyEnv: proxyEnvOf(proxy) };
  const ca =
    caCertificatePem === undefined ? {} : { ca: [...getCACertificates('default'), caCertificatePem] };
  return { http: new HttpAgent(options), https: new Agent({ ...options, ...ca }) };
}

/** Service Bus over WebSocket on port 443, the one way that proxies let through; over AMQP's own port without one. */
export function serviceBusOptions(
  proxy: Proxy | undefined,
  caCertificatePem: string | undefined,
): ServiceBusClientOptions {
  if (proxy === undefined) return {};
  const { https: agent } = uploadAgents(proxy, caCertificatePem);
  return { webSocketOptions: { webSocket: WebSocket, webSocketConstructorOptions: { agent } } };
}

/** The variables of the process win over those of /etc/environment, as they do for every program. */
function findMachineProxy(): Proxy | undefined {
  const found = findVariable('https_proxy');
  if (found === undefined) return undefined;
  const bypass = (findVariable('no_proxy') ?? '').split(/[\s,]+/u).filter((entry) => entry !== '');
  return { url: readProxyUrl(found.includes('://') ? found : `http://${found}`), bypass };
}

function findVariable(name: string): string | undefined {
  const own = process.env[name.toUpperCase()] || process.env[name];
  const line = new RegExp(`^\\s*(?:export\\s+)?${name}=["']?([^"'\\n]+)`, 'imu');
  return own || line.exec(readEnvironmentFile())?.[1]?.trim();
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
