import { NotSupportedError } from '../bindings.ts';

/** Says whether a route value satisfies a constraint. */
export type Constraint = (value: string) => boolean;

const integer = /^[+-]?\d+$/;
const number = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;
const guid =
  /^(\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}|\([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\)|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})$/i;

function isIntegerBetween(value: string, low: bigint, high: bigint): boolean {
  if (!integer.test(value)) return false;
  const parsed = BigInt(value.startsWith('+') ? value.slice(1) : value);
  return parsed >= low && parsed <= high;
}

const plain: Record<string, Constraint> = {
  int: (value) => isIntegerBetween(value, -(2n ** 31n), 2n ** 31n - 1n),
  long: (value) => isIntegerBetween(value, -(2n ** 63n), 2n ** 63n - 1n),
  bool: (value) => /^(true|false)$/i.test(value),
  guid: (value) => guid.test(value),
  alpha: (value) => /^[a-z]*$/i.test(value),
  decimal: (value) => number.test(value) && !/e/i.test(value),
  double: (value) => number.test(value),
  float: (value) => number.test(value),
  datetime: (value) => /^\d{4}-\d{2}-\d{2}/.test(value) && !Number.isNaN(Date.parse(value)),
  required: (value) => value !== '',
};

const withArguments: Record<string, (...numbers: bigint[]) => Constraint> = {
  minlength:
    (least = 0n) =>
    (value) =>
      BigInt(value.length) >= least,
  maxlength:
    (most = 0n) =>
    (value) =>
      BigInt(value.length) <= most,
  length:
    (least = 0n, most = least) =>
    (value) =>
      BigInt(value.length) >= least && BigInt(value.length) <= most,
  min:
    (least = 0n) =>
    (value) =>
      integer.test(value) && BigInt(value) >= least,
  max:
    (most = 0n) =>
    (value) =>
      integer.test(value) && BigInt(value) <= most,
  range:
    (least = 0n, most = 0n) =>
    (value) =>
      integer.test(value) && BigInt(value) >= least && BigInt(value) <= most,
};

/**
 * Reads one inline constraint, the part after a colon in `{id:length(3,5)}`.
 * https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-constraints
 * @throws NotSupportedError for a constraint this host does not know
 */
export function parseConstraint(text: string): Constraint {
  const match = /^([a-z]+)(?:\((.*)\))?$/is.exec(text);
  const name = match?.[1]?.toLowerCase() ?? '';
  const argument = match?.[2];
  if (argument === undefined) {
    const known = plain[name];
    if (known !== undefined) return known;
  } else if (name === 'regex') {
    const pattern = new RegExp(argument.replaceAll('{{', '{').replaceAll('}}', '}'), 'iu');
    return (value) => pattern.test(value);
  } else {
    const known = withArguments[name];
    const numbers = argument.split(',').map((part) => part.trim());
    if (known !== undefined && numbers.every((part) => integer.test(part))) {
      return known(...numbers.map(BigInt));
    }
  }
  throw new NotSupportedError(`route constraint '${text}'`);
}
