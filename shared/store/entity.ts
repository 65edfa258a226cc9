/**
 * How a value lies in a row: its JSON, cut into properties v0, v1, … because one property holds at most 64 KiB
 * (32 Ki UTF-16 units). The JSON is written in ASCII: a cut then never parts a surrogate pair, and Azurite, which
 * decodes what it receives piece by piece, never parts a character either.
 */
const unitsPerProperty = 32_000;
/** An entity holds 1 MiB; property names, keys and the service's own columns take a little of it. */
const mostUnits = 500_000;

/** @throws RangeError when the value is beyond what one row can hold. */
export function encodeValue(value: unknown): Record<string, string> {
  return encode('v', value);
}

/**
 * One of several values that lie in one row, each in properties of its own name (anchor0, anchor1, …), so that one can
 * be merged into the row and the others stay. An empty property ends it: what was longer before has more of them.
 * @throws RangeError when the value is beyond what one row can hold.
 */
export function encodePart(name: string, value: unknown): Record<string, string> {
  const properties = value === undefined ? {} : encode(name, value);
  return { ...properties, [`${name}${Object.keys(properties).length}`]: '' };
}

function encode(name: string, value: unknown): Record<string, string> {
  const json = JSON.stringify(value).replaceAll(/[^\u0020-\u007e]/gu, escapeUnits);
  if (json.length > mostUnits) {
    throw new RangeError(`A value of ${json.length} characters does not fit in a row of ${mostUnits}.`);
  }
  const properties: Record<string, string> = {};
  for (let at = 0; at * unitsPerProperty < json.length; at += 1) {
    properties[`${name}${at}`] = json.slice(at * unitsPerProperty, (at + 1) * unitsPerProperty);
  }
  return properties;
}

/** \uXXXX for each UTF-16 unit; a character beyond the basic plane has two. */
function escapeUnits(character: string): string {
  return Array.from(
    { length: character.length },
    (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
  ).join('');
}

export function decodeValue(entity: Record<string, unknown>): unknown {
  return JSON.parse(textOf(entity, 'v'));
}

/** The JSON of one of a row's values; empty where it has none. */
export function textOf(entity: Record<string, unknown>, name: string): string {
  let json = '';
  for (let at = 0; ; at += 1) {
    const text = entity[`${name}${at}`];
    if (typeof text !== 'string' || text === '') return json;
    json += text;
  }
}
