/**
 * A body that is JSON already. A long list is written item by item, so that the answers about a thousand machines need
 * not all be in memory as objects at once: collecting them takes longer than making them.
 */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** ARM's form of a page of a list. */
export function jsonPage(values: Iterable<unknown>, nextLink: string | null): JsonText {
  const texts: string[] = [];
  for (const value of values) texts.push(JSON.stringify(value));
  return new JsonText(`{"value":[${texts.join(',')}],"nextLink":${JSON.stringify(nextLink)}}`);
}
