import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { DomainError } from '../../shared/fault.ts';
import type { CheckIn } from '../../shared/wire/check-in.ts';
import type { ContainerGrant } from '../../shared/wire/registration.ts';
import type { WebClient } from './web-client.ts';

/**
 * Puts a check-in's body that is too large for a message into a blob. The blob's name has its content's hash, so that
 * finding it there already, after a try whose answer got lost, is success: the grant allows to create, not to overwrite.
 *
 * @param name what makes the blob's name this check-in's own
 * @throws DomainError Unavailable, AuthorizationFailed when the grant has run out.
 */
export async function putClaimCheck(
  web: WebClient,
  grant: ContainerGrant,
  name: string,
  json: string,
): Promise<NonNullable<CheckIn['claimCheck']>> {
  const content = gzipSync(json);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const blobName = `${name}-${sha256}.json.gz`;
  const { status, headers } = await web.send({
    method: 'PUT',
    url: `${grant.containerUrl}/${blobName}?${grant.sas}`,
    headers: {
      'x-ms-version': '2021-12-02',
      'x-ms-blob-type': 'BlockBlob',
      'content-type': 'application/gzip',
      'content-md5': createHash('md5').update(content).digest('base64'),
      'if-none-match': '*',
    },
    body: content,
  });
  const errorCode = headers['x-ms-error-code'];
  const isThere = errorCode === 'BlobAlreadyExists' || errorCode === 'UnauthorizedBlobOverwrite';
  if (status === 201 || isThere) return { blobName, sha256 };
  throw new DomainError({
    code: status === 403 ? 'AuthorizationFailed' : 'Unavailable',
    message: `The storage account refused a large check-in with status ${status} (${String(errorCode)}).`,
    target: blobName,
  });
}
