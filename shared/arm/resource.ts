import { type ChildPath, type VaultRef, childIdOf, childTypeOf } from './resource-id.ts';

/** A resource as ARM answers it. */
export type ArmResource<P> = { id: string; name: string; type: string; properties: P };

/** Wraps a resource's properties in ARM's envelope. */
export function armResource<P>(vault: VaultRef, path: ChildPath, properties: P): ArmResource<P> {
  return { id: childIdOf(vault, path), name: path.at(-1)?.[1] ?? '', type: childTypeOf(path), properties };
}
