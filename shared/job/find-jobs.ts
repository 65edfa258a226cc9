/** Which jobs a caller wants: JobQueryParameter, in a list's $filter and in the body of an export. */
import { sameName, type VaultRef } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { type Table } from '../store/table.ts';
import { type JobRange, listJobs } from './job-store.ts';
import { type Job } from './job.ts';
import { scenarioOf } from './scenario.ts';

/** The fields by which jobs can be chosen. Times are UTC, so an offset changes nothing. */
export const jobQueryFields = [
  'startTime',
  'endTime',
  'jobStatus',
  'affectedObjectTypes',
  'fabricId',
  'jobName',
  'jobOutputType',
  'timezoneOffset',
] as const;

/** A query, read. */
export interface JobQuery extends JobRange {
  fits: (job: Job) => boolean;
}

/** Rows looked through at most for one page; a page may then be empty and still have a next. */
const pagesAtOnce = 10;

/**
 * Reads a query; names of fields are compared without regard to case. Several values have commas between.
 * @throws InvalidRequest for a time that is none.
 */
export function readJobQuery(query: Readonly<Record<string, unknown>>): JobQuery {
  const given = new Map(
    Object.entries(query).flatMap(([field, value]): [string, string][] =>
      typeof value === 'string' && value !== '' ? [[field.toLowerCase(), value]] : [],
    ),
  );
  const wordsOf = (field: string): string[] | undefined =>
    given
      .get(field)
      ?.split(',')
      .map((word) => word.trim());
  const states = wordsOf('jobstatus');
  const types = wordsOf('affectedobjecttypes');
  const fabric = given.get('fabricid')?.split('/').at(-1);
  const name = given.get('jobname');
  return {
    startedFromMs: timeIn('startTime', given.get('starttime')),
    startedToMs: timeIn('endTime', given.get('endtime')),
    fits: (job) =>
      isOneOf(states, job.state) &&
      isOneOf(types, scenarioOf(job.scenario).targetInstanceType) &&
      (fabric === undefined || isOf(job, fabric)) &&
      (name === undefined || sameName(name, job.jobId) || sameName(name, job.scenario)),
  };
}

/** One page of the jobs that fit, newest first. */
export async function findJobs(
  table: Table,
  vault: VaultRef,
  where: { query: JobQuery; continuation?: string | undefined },
): Promise<{ jobs: Job[]; continuation?: string }> {
  const { fits, ...range } = where.query;
  let { continuation } = where;
  for (let page = 1; ; page += 1) {
    const { rows, continuation: next } = await listJobs(table, vault, { ...range, continuation });
    const jobs = rows.map(({ value }) => value).filter(fits);
    if (next === undefined) return { jobs };
    if (jobs.length > 0 || page === pagesAtOnce) return { jobs, continuation: next };
    continuation = next;
  }
}

function isOneOf(wanted: readonly string[] | undefined, word: string): boolean {
  return wanted === undefined || wanted.some((one) => sameName(one, word));
}

function isOf(job: Job, fabric: string): boolean {
  return job.resource.some(([type, name]) => sameName(type, 'replicationFabrics') && sameName(name, fabric));
}

function timeIn(field: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const timeMs = Date.parse(text);
  if (Number.isFinite(timeMs)) return timeMs;
  throw new DomainError({
    code: 'InvalidRequest',
    message: `The ${field} '${text.slice(0, 100)}' is no time.`,
    target: field,
    recommendedAction: "Send it as ISO 8601 in UTC, for instance '2026-01-31T12:00:00Z'.",
  });
}
