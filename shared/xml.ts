/**
 * The XML that two machines send each other: elements, attributes and text. What such messages never hold and
 * attackers like (document types with their entities, processing instructions past the declaration, comments,
 * CDATA) is refused, so nothing expands and memory is bounded by the text's own size.
 */
import { XMLParser, XMLValidator } from 'fast-xml-parser';

/** Text that is not XML, or XML of a kind that is refused. */
export class XmlError extends Error {
  override readonly name = 'XmlError';
}

interface Node {
  readonly [name: string]: readonly Node[] | string;
}

const TEXT = '#text';
const ATTRIBUTE = '@';
const maxDepth = 64;

/** One element. Names are without their namespace prefix; attributes keep theirs. */
export class XmlElement {
  readonly #node: Node;

  constructor(node: Node) {
    this.#node = node;
  }

  /** The element's own text, entities decoded, white space as it stands. */
  get text(): string {
    const text = this.#node[TEXT];
    return typeof text === 'string' ? decodeEntities(text) : '';
  }

  /** The local name of xsi:type, whatever prefix the sender gave that namespace. */
  get xsiType(): string | undefined {
    for (const [name, value] of Object.entries(this.#node)) {
      if (name.startsWith(ATTRIBUTE) && name.endsWith(':type') && typeof value === 'string') {
        return value.slice(value.indexOf(':') + 1);
      }
    }
    return undefined;
  }

  attribute(name: string): string | undefined {
    const value = this.#node[ATTRIBUTE + name];
    return typeof value === 'string' ? decodeEntities(value) : undefined;
  }

  children(name: string): XmlElement[] {
    const nodes = this.#node[name];
    return typeof nodes === 'object' ? nodes.map((node) => new XmlElement(node)) : [];
  }

  /** The first child of that name. */
  child(name: string): XmlElement | undefined {
    const nodes = this.#node[name];
    return typeof nodes === 'object' && nodes[0] !== undefined ? new XmlElement(nodes[0]) : undefined;
  }

  /** The text of the first child of that name, '' when there is none. */
  childText(name: string): string {
    return this.child(name)?.text ?? '';
  }

  /** All child elements, grouped by name. */
  elements(): { name: string; element: XmlElement }[] {
    return Object.entries(this.#node).flatMap(([name, nodes]) =>
      typeof nodes === 'string' ? [] : nodes.map((node) => ({ name, element: new XmlElement(node) })),
    );
  }
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: ATTRIBUTE,
  textNodeName: TEXT,
  alwaysCreateTextNode: true,
  isArray: (_name, _path, _isLeaf, isAttribute) => !isAttribute,
  // Entities are decoded on reading, by the few lines below; the parser's own decoding is for documents with a DTD.
  processEntities: false,
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  ignoreDeclaration: true,
  // `removeNSPrefix` would make xsi:type and an object reference's own `type` the same attribute.
  transformTagName: (name) => name.slice(name.indexOf(':') + 1),
  maxNestedTags: maxDepth,
});

/**
 * Reads a document or a fragment; the element returned is the document itself, its child the root.
 * @throws XmlError when it is not well-formed, nests deeper than 64 elements or holds what is refused.
 */
export function parseXml(text: string): XmlElement {
  if (text.includes('<!')) {
    throw new XmlError('The XML holds a document type, a comment or a CDATA section, which is refused');
  }
  try {
    const root: unknown = parser.parse(text);
    const verdict = XMLValidator.validate(text, { allowBooleanAttributes: false });
    if (verdict !== true) throw new XmlError(`The XML is not well-formed: ${verdict.err.msg}`);
    // Now, so that reading the elements later cannot fail.
    decodeEntities(text);
    return new XmlElement(root as Node); // the parser's options above make exactly this shape
  } catch (error) {
    if (error instanceof XmlError) throw error;
    throw new XmlError('The XML cannot be read', { cause: error });
  }
}

const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function decodeEntities(text: string): string {
  if (!text.includes('&')) return text;
  return text.replaceAll(/&([^;&]{0,12};?)/gu, (whole, body: string) => {
    const decoded = decodeEntity(body);
    if (decoded === undefined) throw new XmlError(`The XML holds the unknown entity '${whole}'`);
    return decoded;
  });
}

function decodeEntity(body: string): string | undefined {
  if (!body.endsWith(';')) return undefined;
  const name = body.slice(0, -1);
  if (Object.hasOwn(named, name)) return named[name];
  const numeric = /^#(?:x([0-9a-f]{1,6})|([0-9]{1,7}))$/iu.exec(name);
  if (numeric === null) return undefined;
  const code =
    numeric[1] === undefined ? Number.parseInt(numeric[2] ?? '', 10) : Number.parseInt(numeric[1], 16);
  return isCharacter(code) ? String.fromCodePoint(code) : undefined;
}

/** XML 1.0's characters: https://www.w3.org/TR/xml/#charsets */
function isCharacter(code: number): boolean {
  if (code < 0x20) return code === 0x9 || code === 0xa || code === 0xd;
  return code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) && code !== 0xfffe && code !== 0xffff;
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\r': '&#13;',
};

/** Makes text fit for an element or a quoted attribute; what XML 1.0 cannot carry at all becomes U+FFFD. */
export function escapeXml(text: string): string {
  return (
    text
      .toWellFormed()
      // oxlint-disable-next-line no-control-regex -- these are the characters XML 1.0 forbids
      .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/gu, '\ufffd')
      .replaceAll(/[&<>"\r]/gu, (character) => escapes[character] ?? character)
  );
}
