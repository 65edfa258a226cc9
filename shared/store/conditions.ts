import { DomainError } from '../fault.ts';

/** The conditions a request sets: values of If-Match and If-None-Match. */
export type Conditions = { ifMatch?: string | undefined; ifNoneMatch?: string | undefined };

/**
 * Checks a request's conditions against what is there; an etag of undefined means that nothing is.
 * Rules: https://www.rfc-editor.org/rfc/rfc9110#section-13.1
 * @throws PreconditionFailed
 */
export function checkConditions(conditions: Conditions, etag: string | undefined): void {
  const { ifMatch, ifNoneMatch } = conditions;
  if (ifMatch !== undefined && !names(ifMatch, etag)) {
    throw failed(
      etag === undefined
        ? 'The resource is not there, and If-Match asks for it.'
        : 'The resource has changed since it was read: its ETag is not that of If-Match.',
    );
  }
  if (ifNoneMatch !== undefined && names(ifNoneMatch, etag)) {
    throw failed('The resource is there already, and If-None-Match forbids that.');
  }
}

/** Whether a header's list of etags holds this one; `*` stands for any. */
function names(header: string, etag: string | undefined): boolean {
  if (etag === undefined) return false;
  const wanted = header.split(',').map((one) => weak(one.trim()));
  return wanted.includes('*') || wanted.includes(weak(etag));
}

/** ARM's clients drop or keep the mark of a weak etag as they like; there is one etag for a version of a row. */
function weak(etag: string): string {
  return etag.replace(/^W\//iu, '');
}

function failed(message: string): DomainError {
  return new DomainError({
    code: 'PreconditionFailed',
    message,
    recommendedAction: 'Read the resource again, and repeat the request with its etag.',
  });
}
