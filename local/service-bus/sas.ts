/**
 * Shared access signatures, checked as Azure Service Bus checks them:
 * https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas
 * The rule that signs gives the rights, the token narrows them to a URI and a time.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

/** What a rule allows. Manage includes the other two. */
export type Right = 'Manage' | 'Send' | 'Listen';

/** A namespace's shared access rule. */
export interface AccessRule {
  name: string;
  key: string;
  rights: Right[];
}

/** What a valid token allows, where, and until when. */
export interface Grant {
  ruleName: string;
  rights: ReadonlySet<Right>;
  /** Lower-case entity path without slashes at its ends; empty for the whole namespace. */
  path: string;
  expiresAtMs: number;
}

/** A token that does not hold; the message says why and may be shown to the client. */
export class TokenRefused extends Error {}

/** Checks tokens against the namespace's rules. */
export class TokenVerifier {
  readonly #rules: Map<string, AccessRule>;
  readonly #hostNames: ReadonlySet<string>;

  /** `hostNames` are the names under which clients reach this namespace; ports do not matter. */
  constructor(rules: AccessRule[], hostNames: string[]) {
    this.#rules = new Map(rules.map((rule) => [rule.name, rule]));
    this.#hostNames = new Set(hostNames);
  }

  /**
   * Checks signature and expiry of a `SharedAccessSignature sr=…&sig=…&se=…&skn=…` token.
   * @throws TokenRefused when the token is malformed, forged, expired or meant for another namespace.
   */
  verify(token: string, nowMs: number): Grant {
    const { resource, signature, expiry, ruleName } = parseToken(token);
    const rule = this.#rules.get(ruleName);
    if (rule === undefined || !isSignedBy(rule.key, `${resource}\n${expiry}`, signature)) {
      throw new TokenRefused(
        'InvalidSignature: the token has an invalid signature. Check the rule name and its key.',
      );
    }
    const expiresAtMs = Number(expiry) * 1000;
    if (!(expiresAtMs > nowMs)) {
      throw new TokenRefused(
        'ExpiredToken: the token is expired. Get a new one; if it is new, check the clocks.',
      );
    }
    const uri = decodeURIComponent(resource);
    if (!this.#hostNames.has(hostName(uri))) {
      throw new TokenRefused(
        `InvalidAudience: the token is for '${uri}', which is not a resource of this namespace.`,
      );
    }
    return { ruleName, rights: impliedRights(rule.rights), path: entityPath(uri), expiresAtMs };
  }
}

function parseToken(token: string) {
  const [scheme, fields = ''] = token.trim().split(/\s+/, 2);
  const values = new Map(fields.split('&').map((field) => splitOnce(field)));
  const [resource, signature] = [values.get('sr'), values.get('sig')];
  const [expiry, ruleName] = [values.get('se'), values.get('skn')];
  if (scheme?.toLowerCase() !== 'sharedaccesssignature' || !resource || !signature || !expiry || !ruleName) {
    throw new TokenRefused(
      "MalformedToken: expected 'SharedAccessSignature sr={uri}&sig={signature}&se={expiry}&skn={rule}'.",
    );
  }
  try {
    decodeURIComponent(resource);
    return {
      resource,
      signature: decodeURIComponent(signature),
      expiry,
      ruleName: decodeURIComponent(ruleName),
    };
  } catch {
    throw new TokenRefused('MalformedToken: a value of the token is not URL-encoded.');
  }
}

function splitOnce(field: string): [string, string] {
  const at = field.indexOf('=');
  return at < 0 ? [field, ''] : [field.slice(0, at), field.slice(at + 1)];
}

function isSignedBy(key: string, text: string, signature: string): boolean {
  const expected = createHmac('sha256', key).update(text).digest();
  const given = Buffer.from(signature, 'base64');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function impliedRights(rights: Right[]): ReadonlySet<Right> {
  return new Set(rights.includes('Manage') ? ['Manage', 'Send', 'Listen'] : rights);
}

function hostName(uri: string): string {
  const authority = /^[a-z]+:\/\/([^/?#]*)/i.exec(uri)?.[1] ?? '';
  return authority.replace(/:\d+$/, '').toLowerCase();
}

/** The entity a URI or address names: lower case, no scheme, host, query or outer slashes. */
export function entityPath(uriOrAddress: string): string {
  const withoutHost = uriOrAddress.replace(/^[a-z]+:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '');
  return withoutHost.replace(/^\/+|\/+$/g, '').toLowerCase();
}

/** Whether `path` is `scope` or lies under it; the prefix counts only up to a slash. */
export function covers(scope: string, path: string): boolean {
  return scope === '' || path === scope || path.startsWith(`${scope}/`);
}
