/** Paths of a JSON value's fields, each with the types seen there, `|` between them. */
export type Shape = Record<string, string>;

/** The shape of a value; all elements of a list are one. */
export function shapeOf(value: unknown): Shape {
  const types = new Map<string, Set<string>>();
  walk(value, '', types);
  types.delete('');
  return Object.fromEntries([...types].map(([path, of]) => [path, [...of].sort().join('|')]));
}

/**
 * Where two shapes differ: `missing: path`, `extra: path`, `type: path recorded -> found`. A field that is null on one
 * side says nothing about its type, and what lies below it is not there.
 */
export function differences(recorded: Shape, found: Shape): string[] {
  const lines: string[] = [];
  for (const [path, types] of Object.entries(recorded)) {
    const own = found[path];
    if (own === undefined) {
      if (!isBelowNothing(path, found)) lines.push(`missing: ${path}`);
    } else if (!agree(types, own)) lines.push(`type: ${path} ${types} -> ${own}`);
  }
  for (const path of Object.keys(found)) {
    if (recorded[path] === undefined && !isBelowNothing(path, recorded)) lines.push(`extra: ${path}`);
  }
  return lines;
}

function agree(left: string, right: string): boolean {
  const [ours, theirs] = [left, right].map((types) => types.split('|').filter((type) => type !== 'null'));
  return ours?.length === 0 || theirs?.length === 0 || ours?.join('|') === theirs?.join('|');
}

/** Whether a path lies below something that is null, an empty list, or itself not there. */
function isBelowNothing(path: string, shape: Shape): boolean {
  const parent = path.endsWith('[]') ? path.slice(0, -2) : path.slice(0, Math.max(0, path.lastIndexOf('.')));
  if (parent === '') return false;
  const types = shape[parent];
  if (types === undefined) return true;
  return path.endsWith('[]') || types === 'null';
}

function walk(value: unknown, path: string, types: Map<string, Set<string>>): void {
  const of = types.get(path) ?? new Set();
  types.set(path, of.add(typeOf(value)));
  if (Array.isArray(value)) for (const one of value) walk(one, `${path}[]`, types);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, one] of Object.entries(value)) walk(one, path === '' ? name : `${path}.${name}`, types);
  }
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}
