import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { DomainError } from '../../shared/fault.ts';

/** Settings of an installed agent. All have defaults; an unknown one is refused, so that none is ignored by a typing error. */
const AgentConfig = z.strictObject({
  /** Disks that the agent can't find by itself: the id that vCenter knows it under, and its device or raw image. */
  disks: z.record(z.string().min(1).max(200), z.string().min(1)).default({}),
  /** Scripts around the freeze of points that are consistent for applications. */
  hooks: z.string().min(1).optional(),
  /** How long file systems may be frozen for a point. */
  freezeLimitSeconds: z.number().min(0.1).max(60).default(3),
  /** Make no point, not a marked one, when disks are not of one moment. */
  refuseInconsistent: z.boolean().default(false),
});
export type AgentConfig = z.infer<typeof AgentConfig>;

/**
 * Reads the settings; without a file all are the defaults.
 *
 * @throws DomainError InvalidRequest naming the file and what is wrong in it
 */
export function readConfig(path: string | undefined): AgentConfig {
  if (path === undefined || !existsSync(path)) return AgentConfig.parse({});
  try {
    return AgentConfig.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (cause) {
    const detail = cause instanceof z.ZodError ? z.prettifyError(cause) : 'It is not JSON.';
    throw new DomainError(
      {
        code: 'InvalidRequest',
        message: `The settings in ${path} are wrong. ${detail}`.slice(0, 4_000),
        target: path,
        recommendedAction: 'Correct the file, or delete it: every setting has a default.',
      },
      { cause },
    );
  }
}

/** Writes the defaults where there are no settings yet. */
export function ensureConfig(path: string): void {
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  writeFileSync(path, `${JSON.stringify({ disks: {}, freezeLimitSeconds: 3 }, undefined, 2)}\n`, {
    mode: 0o644,
  });
}
