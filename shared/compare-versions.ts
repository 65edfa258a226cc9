/** Orders versions by their numbers; a pre-release comes before its release. @returns less than, equal to or greater than 0 */
export function compareVersions(one: string, other: string): number {
  const [left, right] = [partsOf(one), partsOf(other)];
  for (const [index, part] of left.numbers.entries()) {
    const difference = part - (right.numbers[index] ?? 0);
    if (difference !== 0) return difference;
  }
  if (left.extra === right.extra) return 0;
  if (left.extra === '' || right.extra === '') return left.extra === '' ? 1 : -1;
  return left.extra < right.extra ? -1 : 1;
}

function partsOf(version: string): { numbers: number[]; extra: string } {
  const [numbers = '', extra = ''] = version.split(/-(?<rest>.*)/u);
  return { numbers: numbers.split('.').map((part) => Number.parseInt(part, 10) || 0), extra };
}
