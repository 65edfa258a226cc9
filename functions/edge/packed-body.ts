/** Large answers, packed as the caller takes them. */
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { KiB } from '../../shared/bytes.ts';

/** Below it, packing costs more than it saves. */
const leastBytes = 32 * KiB;

const packings: { coding: string; pack: (text: string) => Promise<Uint8Array> }[] = [
  // The quickest level of each: lists are so alike in themselves that it packs them to a thirtieth.
  {
    coding: 'br',
    pack: (text) => promisify(brotliCompress)(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
  },
  { coding: 'gzip', pack: (text) => promisify(gzip)(text, { level: 1 }) },
];

/**
 * A body as it goes over the wire, and the headers that say so. Packed only where the caller's Accept-Encoding names
 * the coding and does not refuse it (`;q=0`).
 * https://www.rfc-editor.org/rfc/rfc9110#name-accept-encoding
 */
export async function packedBody(
  text: string,
  acceptEncoding: string | null,
): Promise<{ body: string | Uint8Array; headers: Record<string, string> }> {
  if (text.length < leastBytes) return { body: text, headers: {} };
  const headers = { vary: 'accept-encoding' };
  const accepted = acceptedCodings(acceptEncoding ?? '');
  const packing = packings.find(({ coding }) => accepted.has(coding));
  if (packing === undefined) return { body: text, headers };
  return { body: await packing.pack(text), headers: { ...headers, 'content-encoding': packing.coding } };
}

function acceptedCodings(header: string): Set<string> {
  const accepted = new Set<string>();
  for (const part of header.toLowerCase().split(',')) {
    const [coding = '', ...parameters] = part.split(';').map((word) => word.trim());
    const isRefused = parameters.some((parameter) => /^q=0(?:\.0{0,3})?$/u.test(parameter));
    if (!isRefused) accepted.add(coding);
  }
  return accepted;
}
