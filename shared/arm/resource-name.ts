import { DomainError } from '../fault.ts';

/** Longest name of a resource that callers name. */
export const longestResourceName = 150;

/**
 * Checks the name a caller gives a new resource: letters, digits, and between them also - _ . and spaces.
 * @throws InvalidRequest
 */
export function checkResourceName(name: string, target: string, longest: number = longestResourceName): void {
  const fits = /^[a-z0-9](?:[a-z0-9 ._-]*[a-z0-9_-])?$/iu.test(name) && name.length <= longest;
  if (fits) return;
  const shown = name.length > 100 ? `${name.slice(0, 100)}…` : name;
  throw new DomainError({
    code: 'InvalidRequest',
    armCode: 'InvalidResourceName',
    message: `'${shown}' can not be the name of a resource.`,
    target,
    recommendedAction: `Use 1 to ${longest} letters and digits of ASCII; hyphens, underscores, dots and spaces may stand between them.`,
  });
}
