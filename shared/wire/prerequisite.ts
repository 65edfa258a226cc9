/** What an appliance's machine was found to be, measured there and judged by the configuration server's requirements. */
import { z } from 'zod';

/** One requirement, with what was found. */
export const PrerequisiteCheck = z.object({
  name: z.enum([
    'operatingSystem',
    'processors',
    'memory',
    'disks',
    'cacheSpace',
    'retentionSpace',
    'locale',
    'serverRoles',
    'networkAdapter',
    'staticAddress',
    'dataPort',
    'httpsPort',
    'vaultReachable',
    'clockOfService',
    'clockOfTimeServer',
  ]),
  /** Warning: it works, with less room or safety than recommended. Failed: it does not work. */
  outcome: z.enum(['Passed', 'Warning', 'Failed']),
  found: z.string().max(1_000),
  wanted: z.string().max(1_000),
  /** What to do about it; empty when passed. */
  action: z.string().max(1_000),
});
export type PrerequisiteCheck = z.infer<typeof PrerequisiteCheck>;

/** All requirements of one machine at one moment. */
export const PrerequisiteReport = z.object({
  /** The table it was judged by. */
  profile: z.enum(['linux', 'windows']),
  /** The worst of the checks. */
  outcome: PrerequisiteCheck.shape.outcome,
  /** The machine is smaller than recommended, and somebody set it up all the same. */
  undersized: z.boolean(),
  measuredAtMs: z.number().int().nonnegative(),
  checks: z.array(PrerequisiteCheck).max(50),
});
export type PrerequisiteReport = z.infer<typeof PrerequisiteReport>;
