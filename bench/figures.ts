/** What every bench tells its figures with. */

/** One line of a table. */
export function row(cells: readonly string[]): string {
  return cells.map((cell, at) => (at ? cell.padStart(15) : cell.padEnd(22))).join('');
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The value that this part of all is not above; between two of them, in proportion. NaN of nothing. */
export function percentile(values: readonly number[], part: number): number {
  const ascending = values.toSorted((one, other) => one - other);
  const at = (ascending.length - 1) * part;
  const below = ascending[Math.floor(at)] ?? Number.NaN;
  const above = ascending[Math.ceil(at)] ?? below;
  return below + (above - below) * (at - Math.floor(at));
}

/** To two places. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}
