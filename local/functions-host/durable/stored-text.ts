/** What a table row may hold of one text; more goes into a blob. A property holds 32 K characters. */
const partLength = 30_000;
const inlineLength = 4 * partLength;

/** Properties of a table row. */
export type Properties = Record<string, string | number | boolean | Date>;

/** Where texts go that are too long for a row. */
export type LongTexts = {
  write(name: string, text: string): Promise<void>;
  read(name: string): Promise<string>;
};

/**
 * Turns a text into properties: `<name>Parts` says how many parts follow as `<name>0`, `<name>1` …; it is 0 for null
 * and -1 when the text is in the blob that `<name>Blob` names. The blob is written before the row that names it.
 */
export async function storeText(
  name: string,
  text: string | null | undefined,
  blobName: string,
  longTexts: LongTexts,
): Promise<Properties> {
  if (text === null || text === undefined) return { [`${name}Parts`]: 0 };
  if (text.length > inlineLength) {
    await longTexts.write(blobName, text);
    return { [`${name}Parts`]: -1, [`${name}Blob`]: blobName };
  }
  const parts = splitText(text);
  const properties: Properties = { [`${name}Parts`]: parts.length };
  for (const [index, part] of parts.entries()) properties[`${name}${index}`] = part;
  return properties;
}

/** Reads a text that storeText has stored. */
export async function loadText(
  name: string,
  properties: Record<string, unknown>,
  longTexts: LongTexts,
): Promise<string | null> {
  const count = Number(properties[`${name}Parts`] ?? 0);
  if (count === 0) return null;
  if (count < 0) return longTexts.read(textOf(properties[`${name}Blob`]));
  return Array.from({ length: count }, (_unused, index) => textOf(properties[`${name}${index}`])).join('');
}

/** A property that is a text; the empty text when it is not there. */
export function textOf(property: unknown): string {
  return typeof property === 'string' ? property : '';
}

/** Splits into parts that fit a property; a character outside the basic plane is not cut in two. */
function splitText(text: string): string[] {
  const parts: string[] = [];
  let at = 0;
  do {
    let end = Math.min(at + partLength, text.length);
    if (end < text.length && text.charCodeAt(end - 1) >= 0xd800 && text.charCodeAt(end - 1) < 0xdc00)
      end -= 1;
    parts.push(text.slice(at, end));
    at = end;
  } while (at < text.length);
  return parts;
}
