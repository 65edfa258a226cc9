// Route templates as ASP.NET reads them: https://learn.microsoft.com/aspnet/core/fundamentals/routing
import { NotSupportedError } from '../bindings.ts';
import { parseConstraint, type Constraint } from './route-constraint.ts';

type Parameter = {
  name: string;
  constraints: Constraint[];
  isOptional: boolean;
  isCatchAll: boolean;
  defaultValue: string | undefined;
};

/**
 * One segment: text alone, one parameter alone, or both mixed (`{name}.{extension}`), matched by `pattern`. `literal` is
 * the text of a segment that is nothing else, in lower case and of ASCII only: it is told apart without the pattern.
 */
type Segment = { pattern: RegExp; parameters: Parameter[]; literal: string | undefined };

/** A parsed route template. */
export type Route = { template: string; segments: Segment[] };

/** Route values by parameter name, percent-encoding removed (except `%2F`, which would change the path). */
export type RouteValues = Record<string, string>;

/** Parses a route template. @throws Error when it is none, NotSupportedError when it uses what is not there */
export function parseRoute(template: string): Route {
  const trimmed = template.replace(/^\/+|\/+$/g, '');
  const segments = trimmed === '' ? [] : splitSegments(trimmed).map((text) => parseSegment(text, template));
  segments.forEach((segment, index) => {
    if (segment.parameters.some((parameter) => parameter.isCatchAll) && index < segments.length - 1) {
      throw new Error(`route '${template}': a catch-all must come last`);
    }
  });
  const names = segments.flatMap((segment) => segment.parameters.map(({ name }) => name.toLowerCase()));
  if (new Set(names).size < names.length) throw new Error(`route '${template}' names a parameter twice`);
  return { template: trimmed, segments };
}

/** Splits at slashes outside braces, as a regex constraint may hold a slash. */
function splitSegments(template: string): string[] {
  const segments = [''];
  let depth = 0;
  for (const character of template) {
    if (character === '{') depth += 1;
    if (character === '}') depth -= 1;
    if (character === '/' && depth === 0) segments.push('');
    else segments[segments.length - 1] += character;
  }
  return segments;
}

function parseSegment(text: string, template: string): Segment {
  const parameters: Parameter[] = [];
  let pattern = '';
  let rest = text;
  while (rest !== '') {
    const open = rest.indexOf('{');
    if (open !== 0) {
      const literal = open < 0 ? rest : rest.slice(0, open);
      if (literal.includes('}')) throw new Error(`route '${template}': '}' without '{'`);
      pattern += literal.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
      rest = rest.slice(literal.length);
      continue;
    }
    const close = closingBrace(rest);
    if (close < 0) throw new Error(`route '${template}': '{' without '}'`);
    const parameter = parseParameter(rest.slice(1, close), template);
    pattern += parameter.isCatchAll ? '(.*)' : '(.+)';
    parameters.push(parameter);
    rest = rest.slice(close + 1);
  }
  const isMixed = parameters.length > 1 || !/^\{.*\}$/s.test(text);
  if (isMixed && parameters.some((parameter) => parameter.isOptional || parameter.isCatchAll)) {
    throw new NotSupportedError(`route '${template}': an optional or catch-all parameter beside other text`);
  }
  // Beyond ASCII the pattern's case folding decides.
  const literal = parameters.length === 0 && isAscii(text) ? text.toLowerCase() : undefined;
  return { pattern: new RegExp(`^${pattern}$`, 'isu'), parameters, literal };
}

function isAscii(text: string): boolean {
  return /^[ -~]*$/u.test(text);
}

function closingBrace(text: string): number {
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    if (text[index] === '{') depth += 1;
    if (text[index] === '}') depth -= 1;
    if (depth === 0) return index;
  }
  return -1;
}

function parseParameter(text: string, template: string): Parameter {
  const match = /^(\*{0,2})([^:=?*{}]+)((?::(?:[^:=?(]|\([^)]*\))+)*)(=[^?]*)?(\?)?$/s.exec(text);
  if (match === null) throw new Error(`route '${template}': '{${text}}' is no parameter`);
  const [, stars = '', name = '', constraints = '', defaultValue, optional] = match;
  return {
    name,
    isCatchAll: stars !== '',
    isOptional: optional !== undefined,
    defaultValue: defaultValue?.slice(1),
    constraints: (constraints.match(/:(?:[^:(]|\([^)]*\))+/gs) ?? []).map((part) =>
      parseConstraint(part.slice(1)),
    ),
  };
}

/** Splits a request's path, still percent-encoded, into decoded segments. An odd escape stays as it is. */
export function splitPath(path: string): string[] {
  const segments = path.replace(/^\//, '').split('/').map(decodeSegment);
  if (segments.at(-1) === '') segments.pop();
  return segments;
}

function decodeSegment(text: string): string {
  return text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (run) => {
    const parts = run.split(/(%2f)/i);
    return parts.map((part) => (/^%2f$/i.test(part) ? part : decodeRun(part))).join('');
  });
}

function decodeRun(run: string): string {
  try {
    return decodeURIComponent(run);
  } catch {
    return run;
  }
}

/** Matches a path's segments: the route's values, or undefined when the route is another one. */
export function matchRoute(route: Route, path: string[]): RouteValues | undefined {
  const values: RouteValues = {};
  for (const [index, segment] of route.segments.entries()) {
    if (segment.parameters[0]?.isCatchAll === true) {
      const rest = path.slice(index).join('/');
      return assign(values, segment.parameters[0], rest === '' ? undefined : rest) ? values : undefined;
    }
    const text = path[index];
    const isMatch = text === undefined ? fillMissing(segment, values) : matchSegment(segment, text, values);
    if (!isMatch) return undefined;
  }
  return path.length > route.segments.length ? undefined : values;
}

/** A segment that the path does not have: only one optional parameter, or one with a default, may be missing. */
function fillMissing(segment: Segment, values: RouteValues): boolean {
  const [only, second] = segment.parameters;
  if (only === undefined || second !== undefined) return false;
  return (only.isOptional || only.defaultValue !== undefined) && assign(values, only, undefined);
}

function matchSegment(segment: Segment, text: string, values: RouteValues): boolean {
  if (segment.literal !== undefined && isAscii(text)) return segment.literal === text.toLowerCase();
  const match = segment.pattern.exec(text);
  return (
    match !== null && segment.parameters.every((parameter, at) => assign(values, parameter, match[at + 1]))
  );
}

/** Gives a parameter its value, or else its default; says whether that satisfies its constraints. */
function assign(values: RouteValues, parameter: Parameter, text: string | undefined): boolean {
  const value = text ?? parameter.defaultValue;
  if (value === undefined) return true;
  if (!parameter.constraints.every((satisfies) => satisfies(value))) return false;
  values[parameter.name] = value;
  return true;
}
