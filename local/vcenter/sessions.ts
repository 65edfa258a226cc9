import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { Lockout } from './lockout.ts';
import type { VCenterObject } from './objects.ts';

/** A logged-in client and what it has open. */
export interface Session {
  id: string;
  user: string;
  lastUsedMs: number;
  /** Container views: the types each shows. */
  views: Map<string, string[]>;
  /** Retrievals that have more pages, by token. */
  pages: Map<string, Pages>;
  /** What it wants to hear changes of. */
  filters: Map<string, Filter>;
  /** The last version of changes given. */
  updatesVersion: number;
}

/** What a client wants to hear changes of, and what it knows. */
export interface Filter {
  /** Of the view it is over. */
  types: readonly string[];
  paths: ReadonlyMap<string, readonly string[]>;
  seen: Map<string, { type: string; values: ReadonlyMap<string, string | undefined> }>;
  /** Updates that the client was not told yet. */
  waiting: string[];
}

/** What is left of a retrieval. */
export interface Pages {
  rest: readonly VCenterObject[];
  /** Wanted properties by type. */
  paths: ReadonlyMap<string, readonly string[]>;
  /** Objects in a page. */
  size: number;
}

const idleMs = 30 * 60 * 1000; // vSphere's own default
const maxSessions = 100;

/** The sessions of a server, kept in memory as vSphere keeps them. */
export class Sessions {
  readonly #sessions = new Map<string, Session>();
  readonly lockout = new Lockout();
  /** How many logins were asked for, refused ones too. */
  logins = 0;

  /** Begins a session; where too many are open, the one unused for longest ends. */
  begin(user: string): Session {
    const session: Session = {
      id: randomUUID(),
      user,
      lastUsedMs: Date.now(),
      views: new Map(),
      pages: new Map(),
      filters: new Map(),
      updatesVersion: 0,
    };
    this.#sessions.set(session.id, session);
    for (const id of this.#sessions.keys()) {
      if (this.#sessions.size <= maxSessions) break;
      this.#sessions.delete(id);
    }
    return session;
  }

  /** Finds the session of a request's cookie. */
  find(cookies: string | undefined): Session | undefined {
    const id = /(?:^|;)\s*vmware_soap_session="?([\w-]+)"?/u.exec(cookies ?? '')?.[1];
    const session = id === undefined ? undefined : this.#sessions.get(id);
    if (session === undefined) return undefined;
    this.#sessions.delete(session.id);
    if (Date.now() - session.lastUsedMs > idleMs) return undefined;
    session.lastUsedMs = Date.now();
    this.#sessions.set(session.id, session);
    return session;
  }

  end(session: Session): void {
    this.#sessions.delete(session.id);
  }
}

/** Compares secrets in a time that tells nothing about them. */
export function isSame(a: string, b: string): boolean {
  return timingSafeEqual(digest(a), digest(b));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
