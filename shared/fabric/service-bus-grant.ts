import { createHmac } from 'node:crypto';

/** A rule of a Service Bus namespace: its name and its key. */
export type SharedAccessRule = { name: string; key: string };

/** Reads a rule from the setting `name=key`. */
export function parseRule(setting: string): SharedAccessRule {
  const at = setting.indexOf('=');
  return { name: setting.slice(0, at), key: setting.slice(at + 1) };
}

/**
 * A connection string that works for one queue until it expires. It allows what the rule allows: a token narrows
 * scope and time, never rights.
 */
export function queueConnectionString(
  namespaceConnectionString: string,
  rule: SharedAccessRule,
  grant: { queue: string; expiresAtMs: number },
): string {
  const endpoint = /Endpoint=(sb:\/\/[^;]+)/iu.exec(namespaceConnectionString)?.[1]?.replace(/\/+$/u, '');
  if (endpoint === undefined) throw new Error('The setting SERVICE_BUS has no Endpoint.');
  const resource = encodeURIComponent(`${endpoint}/${grant.queue}`.toLowerCase());
  const expiry = Math.floor(grant.expiresAtMs / 1_000);
  const signature = createHmac('sha256', rule.key).update(`${resource}\n${expiry}`).digest('base64');
  const token = `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expiry}&skn=${rule.name}`;
  const emulator = /UseDevelopmentEmulator=true/iu.test(namespaceConnectionString);
  return `Endpoint=${endpoint}/;SharedAccessSignature=${token};EntityPath=${grant.queue}${emulator ? ';UseDevelopmentEmulator=true' : ''}`;
}
