import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { DomainError, type Fault } from '../../shared/fault.ts';
import { extentLimits } from '../../shared/wire/agent.ts';

const statusOf: Record<Fault['code'], number> = {
  InvalidRequest: 400,
  AuthenticationFailed: 401,
  AuthorizationFailed: 403,
  RegistrationKeyExpired: 403,
  RegistrationKeyUsed: 403,
  ClockSkew: 403,
  ResourceNotFound: 404,
  Conflict: 409,
  PreconditionFailed: 412,
  ResourceNotEmpty: 409,
  NotSupported: 400,
  RequestTooLarge: 413,
  TooManyRequests: 429,
  Unavailable: 503,
  ReplicaDamaged: 500,
  RemoteFailure: 502,
};
const jsonBytesAtMost = 256 * 1024;

/** Reads a JSON body. @throws DomainError InvalidRequest or RequestTooLarge */
export async function readJson<T>(request: IncomingMessage, schema: z.ZodType<T>): Promise<T> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > jsonBytesAtMost) {
      throw new DomainError({
        code: 'RequestTooLarge',
        message: `The body is longer than ${jsonBytesAtMost} bytes.`,
      });
    }
    chunks.push(chunk);
  }
  return parse(schema, Buffer.concat(chunks).toString('utf8'));
}

/** Parses JSON text by its schema. @throws DomainError InvalidRequest */
export function parse<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    const detail = cause instanceof z.ZodError ? z.prettifyError(cause) : 'It is not JSON.';
    throw new DomainError(
      {
        code: 'InvalidRequest',
        message: `The request is not of the form the process server takes. ${detail}`.slice(0, 4_000),
      },
      { cause },
    );
  }
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

/** Answers with the error's fault. Anything else is a bug: the caller logs it. @returns whether it was a fault */
export function sendError(response: ServerResponse, error: unknown): boolean {
  const isFault = error instanceof DomainError;
  const fault: Fault = isFault
    ? error.fault
    : { code: 'Unavailable', message: 'The process server failed inside. Its log says where.' };
  if (response.headersSent) response.destroy();
  else {
    if (fault.code === 'Unavailable' || fault.code === 'TooManyRequests')
      response.setHeader('retry-after', '5');
    // The rest of a short body is read and thrown away, so that its sender comes to read the answer.
    const rest = Number(response.req.headers['content-length'] ?? Infinity);
    if (rest > extentLimits.bodyBytes) response.setHeader('connection', 'close');
    else if (!response.req.complete) response.req.resume();
    sendJson(response, statusOf[fault.code], { fault });
  }
  return isFault;
}
