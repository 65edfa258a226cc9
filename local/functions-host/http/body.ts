import type { IncomingMessage, ServerResponse } from 'node:http';

import { MiB } from '../../../shared/bytes.ts';

/** What the real host takes: https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook#limits */
const maxBodySizeBytes = 100 * MiB;

/** Reads a request's body. Answers 413 and returns undefined when it is larger than the host takes. */
export async function readBody(
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Buffer | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > maxBodySizeBytes) return refuse(request, response);
  if (!hasBody(request)) return Buffer.alloc(0);
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBodySizeBytes) return refuse(request, response);
    chunks.push(chunk);
  }
  return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, sizeBytes);
}

/** https://www.rfc-editor.org/rfc/rfc9112#name-message-body-length */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
}

function refuse(request: IncomingMessage, response: ServerResponse): undefined {
  response.writeHead(413, { connection: 'close' }).end(() => request.destroy());
  return undefined;
}
