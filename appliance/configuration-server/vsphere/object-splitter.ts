import { XmlError } from '../../../shared/xml.ts';

/**
 * Cuts the elements of one name (`objects`, say) out of a property collector's answer while it arrives, so that tens of thousands of
 * machines never stand in memory as one text or one tree. It needs no parser for that: in XML without comments
 * and CDATA, which are refused here, a '<' always begins a tag.
 */
export class ObjectSplitter {
  readonly #open: string;
  readonly #close: string;
  readonly #maxChars: number;
  readonly #onObject: (xml: string) => void;
  /** What came and is neither an object that ended nor known to be outside of any. */
  #pending = '';
  /** Where in pending the search goes on, so that a large object is not searched anew with every chunk. */
  #searched = 0;
  #inObject = false;
  #outside: string[] = [];
  #outsideChars = 0;
  #last = '';

  /** `maxChars` bounds one object, and apart from that everything outside of objects. */
  constructor(name: string, maxChars: number, onObject: (xml: string) => void) {
    this.#open = `<${name}`;
    this.#close = `</${name}>`;
    this.#maxChars = maxChars;
    this.#onObject = onObject;
  }

  /** @throws XmlError when a bound is exceeded or refused XML comes. */
  push(chunk: string): void {
    if ((this.#last + chunk).includes('<!')) {
      throw new XmlError('The XML holds a document type, a comment or a CDATA section, which is refused');
    }
    this.#last = chunk.slice(-1);
    this.#pending += chunk;
    while (this.#inObject ? this.#takeObject() : this.#takeOutside());
    if (this.#pending.length > this.#maxChars || this.#outsideChars > this.#maxChars) {
      throw new XmlError(`One part of the answer is larger than ${this.#maxChars} characters`);
    }
  }

  /** The answer without its objects. */
  end(): string {
    if (this.#inObject) throw new XmlError('The answer ends within an object');
    return this.#outside.join('') + this.#pending;
  }

  #takeObject(): boolean {
    const close = this.#pending.indexOf(this.#close, this.#searched);
    if (close === -1) {
      this.#searched = Math.max(0, this.#pending.length - this.#close.length);
      return false;
    }
    const end = close + this.#close.length;
    if (end > this.#maxChars) throw new XmlError(`One object is larger than ${this.#maxChars} characters`);
    this.#onObject(this.#pending.slice(0, end));
    this.#advance(end, false);
    return true;
  }

  #takeOutside(): boolean {
    const open = this.#pending.indexOf(this.#open, this.#searched);
    // What follows the name decides whether it is this element, so that must have come too.
    if (open === -1 || open + this.#open.length >= this.#pending.length) {
      this.#keepOutside(open === -1 ? Math.max(0, this.#pending.length - this.#open.length) : open);
      return false;
    }
    if (!/[\s>]/u.test(this.#pending.charAt(open + this.#open.length))) {
      this.#searched = open + this.#open.length;
      return true;
    }
    this.#keepOutside(open);
    this.#inObject = true;
    return true;
  }

  #keepOutside(length: number): void {
    const text = this.#pending.slice(0, length);
    if (text !== '') this.#outside.push(text);
    this.#outsideChars += length;
    this.#advance(length, this.#inObject);
  }

  #advance(length: number, inObject: boolean): void {
    this.#pending = this.#pending.slice(length);
    this.#searched = 0;
    this.#inObject = inObject;
  }
}
