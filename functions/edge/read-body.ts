import { type HttpRequest } from '@azure/functions';
import { z } from 'zod';
import { MiB } from '../../shared/bytes.ts';
import { DomainError } from '../../shared/fault.ts';

const mostBytes = 4 * MiB;

/**
 * The request's JSON body, checked against a schema. The body is never held when it is over 4 MiB.
 * @throws RequestTooLarge, InvalidRequest (naming the field).
 */
export async function readJson<T>(request: HttpRequest, schema: z.ZodType<T>): Promise<T> {
  const text = new TextDecoder('utf-8', { fatal: true });
  const bytes = await readBytes(request);
  let value: unknown;
  try {
    value = JSON.parse(text.decode(bytes));
  } catch (error) {
    throw new DomainError(
      {
        code: 'InvalidRequest',
        armCode: 'InvalidRequestContent',
        message: bytes.length === 0 ? 'The request has no body.' : 'The body of the request is not JSON.',
        recommendedAction: 'Send a JSON object in UTF-8.',
      },
      { cause: error },
    );
  }
  return parseInput(schema, value);
}

/** Checks something a caller sent. @throws InvalidRequest naming the field. */
export function parseInput<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalidContent(parsed.error);
}

/** Says which field is wrong, and how. */
export function invalidContent(error: z.ZodError): DomainError {
  const [first] = error.issues;
  const field = first === undefined || first.path.length === 0 ? 'body' : first.path.join('.');
  return new DomainError(
    {
      code: 'InvalidRequest',
      armCode: 'InvalidRequestContent',
      message: `The field '${field.slice(0, 200)}' is not valid: ${(first?.message ?? 'unknown').slice(0, 1_000)}.`,
      target: field.slice(0, 200),
    },
    { cause: error },
  );
}

async function readBytes(request: HttpRequest): Promise<Buffer> {
  if (Number(request.headers.get('content-length') ?? 0) > mostBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of request.body ?? []) {
    const bytes = chunk as Uint8Array;
    total += bytes.byteLength;
    if (total > mostBytes) throw tooLarge();
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

function tooLarge(): DomainError {
  return new DomainError({
    code: 'RequestTooLarge',
    message: 'The body of the request is larger than 4 MiB.',
    recommendedAction: 'Send less at once.',
  });
}
