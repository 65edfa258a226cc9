import type { PageBlobClient } from '@azure/storage-blob';
import { MiB } from '../bytes.ts';
import type { FinishedDisk, RestoreTarget } from './restore-target.ts';
import { stretchesWithData } from './sparse.ts';
import { VHD_FOOTER_BYTES, encodeVhdFooter } from './vhd.ts';

/** Put Page takes no more. https://learn.microsoft.com/rest/api/storageservices/put-page */
const MAX_PAGES_BYTES = 4 * MiB;

/**
 * A fixed VHD in a page blob, as Azure makes managed disks from. Azure wants whole MiB, so an odd disk gets zeros at its
 * end. Zeros are not written: a new page blob reads as zeros and is not charged for them.
 */
export class PageBlobTarget implements RestoreTarget {
  readonly #blob: PageBlobClient;

  constructor(blob: PageBlobClient) {
    this.#blob = blob;
  }

  async prepare(sizeBytes: number): Promise<void> {
    await this.#blob.create(wholeMiB(sizeBytes) + VHD_FOOTER_BYTES, {
      blobHTTPHeaders: { blobContentType: 'application/octet-stream' },
    });
  }

  async write(offsetBytes: number, data: Uint8Array): Promise<void> {
    for (const stretch of stretchesWithData(offsetBytes, data, MAX_PAGES_BYTES)) {
      await this.#upload(stretch.offsetBytes, stretch.data);
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async finish(disk: FinishedDisk): Promise<void> {
    const sizeBytes = wholeMiB(disk.sizeBytes);
    await this.#upload(sizeBytes, encodeVhdFooter({ ...disk, sizeBytes }));
  }

  async #upload(offsetBytes: number, data: Uint8Array): Promise<void> {
    await this.#blob.uploadPages(data, offsetBytes, data.length);
  }
}

function wholeMiB(sizeBytes: number): number {
  return Math.ceil(sizeBytes / MiB) * MiB;
}
