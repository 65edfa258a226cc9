/** Exports of jobs: blobs in a container of their own, read by tokens that last an hour, gone after a week. */
import { type BlobServiceClient, BlobSASPermissions } from '@azure/storage-blob';
import { type VaultRef } from '../arm/resource-id.ts';
import { keyPart, vaultPartition } from '../store/row-key.ts';
import { storageFault } from '../store/storage-fault.ts';
import { type Table } from '../store/table.ts';
import { findJobs, type JobQuery } from './find-jobs.ts';
import { type JobExport, jobListAnswer } from './job-answer.ts';
import { type Job } from './job.ts';

/** The container of all exports. */
const exportContainer = 'job-exports';
/** The newest ones; more do not fit in what a person looks at. */
const mostJobs = 20_000;
const tokenMs = 3_600_000;
const keptMs = 7 * 86_400_000;

/** Form of an export. */
export type ExportForm = 'Json' | 'Xml';

/** Writes the jobs that fit as the job's blob. Done again it writes the same blob anew. */
export async function exportJobs(
  services: { table: Table; replicaStorage: BlobServiceClient },
  ref: { vault: VaultRef; jobId: string; form: ExportForm },
  query: JobQuery,
): Promise<{ jobs: number }> {
  const jobs: Job[] = [];
  let continuation: string | undefined;
  do {
    const page = await findJobs(services.table, ref.vault, { query, continuation });
    jobs.push(...page.jobs.filter(({ jobId }) => jobId !== ref.jobId));
    ({ continuation } = page);
  } while (continuation !== undefined && jobs.length < mostJobs);
  const answers = jobs.slice(0, mostJobs).map((job) => jobListAnswer(ref.vault, job));
  const text = ref.form === 'Json' ? JSON.stringify({ value: answers }, null, 1) : xmlOf(answers);
  const container = services.replicaStorage.getContainerClient(exportContainer);
  try {
    await container.createIfNotExists();
    const type = ref.form === 'Json' ? 'application/json' : 'application/xml';
    await container
      .getBlockBlobClient(blobName(ref))
      .uploadData(Buffer.from(text), { blobHTTPHeaders: { blobContentType: type } });
  } catch (error) {
    throw storageFault(error, `The container '${exportContainer}'`);
  }
  return { jobs: answers.length };
}

/** Where a finished export lies, with a token that reads it and nothing else. */
export async function signExport(
  replicaStorage: BlobServiceClient,
  ref: { vault: VaultRef; jobId: string; form: ExportForm },
  nowMs: number,
): Promise<JobExport> {
  const blob = replicaStorage.getContainerClient(exportContainer).getBlockBlobClient(blobName(ref));
  const signed = new URL(
    await blob.generateSasUrl({
      permissions: BlobSASPermissions.parse('r'),
      expiresOn: new Date(nowMs + tokenMs),
    }),
  );
  return { blobUri: blob.url, sasToken: signed.search.slice(1) };
}

/** Deletes what nobody will look at any more. */
export async function removeOldExports(replicaStorage: BlobServiceClient, nowMs: number): Promise<void> {
  const container = replicaStorage.getContainerClient(exportContainer);
  try {
    if (!(await container.exists())) return;
    for await (const { name, properties } of container.listBlobsFlat()) {
      if (properties.lastModified.getTime() + keptMs < nowMs) await container.deleteBlob(name);
    }
  } catch (error) {
    throw storageFault(error, `The container '${exportContainer}'`);
  }
}

function blobName({ vault, jobId, form }: { vault: VaultRef; jobId: string; form: ExportForm }): string {
  return `${keyPart(vaultPartition(vault))}/${jobId}.${form.toLowerCase()}`;
}

type ListedJob = ReturnType<typeof jobListAnswer>;

function xmlOf(jobs: readonly ListedJob[]): string {
  const rows = jobs.map(({ name, properties }) => {
    const { errors, tasks: _t, customDetails: _c, activityId: _a, ...plain } = properties;
    const fields = Object.entries({ name, ...plain, allowedActions: plain.allowedActions.join(',') });
    const told = errors.map(({ serviceErrorDetails }) => element('error', serviceErrorDetails.message));
    return `  <job>${fields.map(([field, value]) => element(field, value)).join('')}${told.join('')}</job>`;
  });
  return `<?xml version="1.0" encoding="utf-8"?>\n<jobs>\n${rows.join('\n')}\n</jobs>\n`;
}

function element(name: string, value: string): string {
  const text = value
    // eslint-disable-next-line no-control-regex -- XML can not hold them
    .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/gu, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
  return `<${name}>${text}</${name}>`;
}
