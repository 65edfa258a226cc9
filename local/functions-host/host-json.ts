import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

import { LogLevelName } from './log.ts';
import { parseTimeSpanMs } from './time-span.ts';

const cores = availableParallelism();

/** A time span, or -1 for none. */
const Timeout = z
  .string()
  .transform((text, context) => (text === '-1' ? Infinity : readTimeSpan(text, context)));
const TimeSpan = z.string().transform(readTimeSpan);

function readTimeSpan(text: string, context: z.RefinementCtx): number {
  const parsed = parseTimeSpanMs(text);
  if (parsed === undefined) {
    context.addIssue({ code: 'custom', message: `'${text}' is no time span (hh:mm:ss or d.hh:mm:ss)` });
    return z.NEVER;
  }
  return parsed;
}

const HostJson = z.object({
  version: z.literal('2.0'),
  functionTimeout: Timeout.default(Infinity),
  logging: z.object({ logLevel: z.record(z.string(), LogLevelName).default({}) }).default({ logLevel: {} }),
  extensions: z
    .object({
      http: z.object({ routePrefix: z.string().default('api') }).prefault({}),
      serviceBus: z
        .object({
          maxConcurrentCalls: z
            .int()
            .positive()
            .default(16 * cores),
          prefetchCount: z.int().nonnegative().default(0),
          autoCompleteMessages: z
            .literal(true, {
              error: 'not supported by the local host: autoCompleteMessages false',
            })
            .default(true),
          maxAutoLockRenewalDuration: TimeSpan.default(5 * 60_000),
        })
        .prefault({}),
      durableTask: z
        .object({
          hubName: z
            .string()
            .regex(/^[A-Za-z][A-Za-z0-9]{2,44}$/, 'a hub name is a letter, then 2 to 44 letters and digits')
            .default('TestHubName'),
          maxConcurrentActivityFunctions: z
            .int()
            .positive()
            .default(10 * cores),
          maxConcurrentOrchestratorFunctions: z
            .int()
            .positive()
            .default(10 * cores),
          storageProvider: z
            .object({
              type: z
                .string()
                .regex(
                  /^AzureStorage$/i,
                  'not supported by the local host: this durableTask storage provider',
                )
                .default('AzureStorage'),
              connectionStringName: z.string().default('AzureWebJobsStorage'),
              connectionName: z.string().optional(),
            })
            .prefault({}),
        })
        .prefault({}),
    })
    .prefault({}),
});

/** The host's settings, host.json's defaults filled in; times are milliseconds. */
export type HostJson = z.infer<typeof HostJson>;

/** Reads an app's host.json. @throws Error that names the file and what is wrong with it. */
export function readHostJson(appFolder: string): HostJson {
  const path = join(appFolder, 'host.json');
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path} cannot be read as JSON`, { cause: error });
  }
  const parsed = HostJson.safeParse(content);
  if (!parsed.success) throw new Error(`${path}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
