import { existsSync } from 'node:fs';
import type { Product } from './product.ts';
import { OwnKeeper } from './own-keeper.ts';
import { SystemdKeeper } from './systemd-keeper.ts';

/**
 * What keeps a product's service running on this machine and starts it with the machine. Each call is idempotent.
 * A stop ends the service's own process only: what it has started, such as the watchdog of a freeze, ends by itself.
 */
export interface Keeper {
  readonly kind: 'systemd' | 'own';
  /** Writes the unit or the start script; the service starts with the machine from now on. */
  install(): Promise<void>;
  /** Starts the service, or starts it anew. @throws DomainError RemoteFailure */
  restart(): Promise<void>;
  /** Resolves when the service's process has ended. @throws DomainError RemoteFailure */
  stop(): Promise<void>;
  /** Whether it is kept running now. */
  isActive(): Promise<boolean>;
  /** Takes back what install did. The service is stopped. */
  remove(): Promise<void>;
}

/** systemd where the machine runs on it, else a script of our own. */
export function keeperOf(product: Product): Keeper {
  return existsSync('/run/systemd/system') ? new SystemdKeeper(product) : new OwnKeeper(product);
}
