import { createHash } from 'node:crypto';
import { BlobSASPermissions, ContainerClient, RestError } from '@azure/storage-blob';
import { putBlob, type UploadAgents } from './put-blob.ts';
import { StoreError } from './replica-store.ts';
import type { BlobEntry, BlobRange, PutOptions, ReplicaStore } from './replica-store.ts';

/** Life of the grant that a store with an account's key makes for each of its own uploads. */
const OWN_GRANT_MS = 60 * 60 * 1000;
/** Of reads. Who uploads has a spool and tries again by itself. */
const RETRIES = { maxTries: 4, retryDelayInMs: 200, maxRetryDelayInMs: 2_000 };
/** What the service says, with 409, of a blob that a policy keeps. */
const KEPT_BY_POLICY = new Set(['BlobImmutableDueToPolicy', 'BlobImmutableDueToLegalHold']);
const CONTENT_RANGE = /^bytes \d+-\d+\/(\d+)$/;

/** What an appliance is given: a container, and a SAS for it. */
export interface BlobGrant {
  containerUrl: string;
  /** The query of a SAS, without the question mark. */
  sas: string;
}

/** A container of Azure Blob Storage. */
export class BlobReplicaStore implements ReplicaStore {
  readonly #container: ContainerClient;
  readonly #hasAccountKey: boolean;
  readonly #uploadAgents: UploadAgents;

  /**
   * Works by a SAS (a create-only one is enough for `putIfAbsent`), or by a client with the account's key.
   *
   * @param uploadAgents the way that `putIfAbsent` goes, such as through a proxy; reading goes the SDK's own
   */
  constructor(access: BlobGrant | ContainerClient, uploadAgents: UploadAgents = {}) {
    this.#uploadAgents = uploadAgents;
    this.#hasAccountKey = access instanceof ContainerClient;
    this.#container =
      access instanceof ContainerClient
        ? access
        : new ContainerClient(`${access.containerUrl}?${access.sas}`, undefined, { retryOptions: RETRIES });
  }

  async find(name: string, maxBytes: number): Promise<Buffer | undefined> {
    const found = await this.findRange(name, 0, maxBytes);
    if (found === undefined || found.sizeBytes <= maxBytes) return found?.bytes;
    const message = `${name} has ${found.sizeBytes} bytes, more than the ${maxBytes} allowed`;
    throw new StoreError(message, { code: 'TooLarge', isRetryable: false });
  }

  async findRange(name: string, offset: number, length: number): Promise<BlobRange | undefined> {
    try {
      const response = await this.#container.getBlobClient(name).download(offset, Math.max(1, length));
      const sizeBytes = Number(
        CONTENT_RANGE.exec(response.contentRange ?? '')?.[1] ?? response.contentLength ?? 0,
      );
      const bytes = await collect(
        response.readableStreamBody,
        Math.max(1, Math.min(length, sizeBytes - offset)),
      );
      return { bytes: bytes.subarray(0, length), sizeBytes };
    } catch (error) {
      if (error instanceof RestError && error.statusCode === 416) return this.#findBehindEnd(name, offset);
      if (error instanceof RestError && error.code === 'BlobNotFound') return undefined;
      throw storeError(error, name);
    }
  }

  async *list(prefix: string): AsyncGenerator<BlobEntry> {
    try {
      for await (const { name, properties } of this.#container.listBlobsFlat({ prefix })) {
        const { contentLength: sizeBytes = 0, lastModified } = properties;
        yield { name, sizeBytes, writtenAtMs: lastModified.getTime() };
      }
    } catch (error) {
      throw storeError(error, `the list of ${prefix}`);
    }
  }

  async putIfAbsent(
    name: string,
    bytes: Uint8Array,
    options: PutOptions = {},
  ): Promise<'created' | 'exists'> {
    const md5 = options.md5 ?? createHash('md5').update(bytes).digest('base64');
    const url = await this.#uploadUrl(name);
    return putBlob({ url, name, bytes, md5, signal: options.signal, agents: this.#uploadAgents });
  }

  async remove(name: string): Promise<'removed' | 'absent' | 'retained'> {
    try {
      await this.#container.getBlobClient(name).delete();
      return 'removed';
    } catch (error) {
      if (error instanceof RestError && error.code === 'BlobNotFound') return 'absent';
      // https://learn.microsoft.com/azure/storage/blobs/immutable-storage-overview
      if (error instanceof RestError && KEPT_BY_POLICY.has(error.code ?? '')) return 'retained';
      throw storeError(error, name);
    }
  }

  async #uploadUrl(name: string): Promise<string> {
    const blob = this.#container.getBlobClient(name);
    if (!this.#hasAccountKey) return blob.url;
    const expiresOn = new Date(Date.now() + OWN_GRANT_MS);
    return blob.generateSasUrl({ permissions: BlobSASPermissions.parse('c'), expiresOn });
  }

  async #findBehindEnd(name: string, offset: number): Promise<BlobRange | undefined> {
    if (offset === 0) return { bytes: Buffer.alloc(0), sizeBytes: 0 };
    const start = await this.findRange(name, 0, 1);
    return start === undefined ? undefined : { bytes: Buffer.alloc(0), sizeBytes: start.sizeBytes };
  }
}

async function collect(stream: NodeJS.ReadableStream | undefined, expected: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(expected);
  let filled = 0;
  for await (const chunk of stream ?? []) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('the storage sent text where bytes were asked for');
    filled += chunk.copy(bytes, filled);
  }
  return bytes.subarray(0, filled);
}

/** Leaves the SDK's error out: it holds the request's URL, and that the SAS. */
function storeError(error: unknown, what: string): unknown {
  if (!(error instanceof RestError)) return error;
  const code = error.code ?? `Http${error.statusCode ?? 0}`;
  const status = error.statusCode ?? 0;
  const isRetryable = status === 0 || status === 408 || status === 429 || status >= 500;
  return new StoreError(`the storage did not give ${what}: ${code}`, { code, isRetryable });
}
