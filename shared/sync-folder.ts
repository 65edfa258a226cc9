import { closeSync, fsyncSync, openSync } from 'node:fs';

/** Makes names in a folder durable: a new or renamed file survives a power cut only when its folder is synced. */
export function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
