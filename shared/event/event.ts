import { z } from 'zod';
import { armResource } from '../arm/resource.ts';
import { type VaultRef, childIdOf } from '../arm/resource-id.ts';

/** A health error, as it stood when the event happened. */
const EventHealthError = z.object({
  errorCategory: z.string(),
  errorCode: z.string(),
  summaryMessage: z.string(),
  errorMessage: z.string(),
  possibleCauses: z.string(),
  recommendedAction: z.string(),
  creationTimeUtc: z.string(),
});

/**
 * How grave an event is, in Site Recovery's words.
 * - OK: what was wrong is right again.
 * - Warning: something needs looking at; machines are still protected as their policy wants.
 * - Critical: machines are not protected as their policy wants, or an operation failed.
 */
export const Severity = z.enum(['OK', 'Warning', 'Critical']);
export type Severity = z.infer<typeof Severity>;

/** Something that happened in a vault, as it lies in its row. Never changed. */
export const VaultEvent = z.object({
  /** GUID made from what happened, so that recording it twice gives one row. */
  eventId: z.uuid(),
  atMs: z.number(),
  /** SRSVMHealthChanged, ServerHealthChanged, JobFailed. */
  code: z.string(),
  type: z.enum(['VmHealth', 'ServerHealth', 'JobFailure']),
  severity: Severity,
  description: z.string(),
  affected: z.object({ id: z.string(), name: z.string() }),
  /** The fabric it happened at, and its configuration server's name. */
  fabric: z.object({ name: z.string(), serverName: z.string() }).optional(),
  healthErrors: z.array(EventHealthError),
  /** JobFailure: which job. */
  job: z.object({ jobId: z.string(), friendlyName: z.string(), objectType: z.string() }).optional(),
});
export type VaultEvent = z.infer<typeof VaultEvent>;

const maxTicks = 2n ** 63n - 1n;
/** Windows counts from 1601; this is that moment before 1970. */
const epochMs = 11_644_473_600_000n;

const prefixes = {
  VmHealth: 'VmMonitoringEvent',
  ServerHealth: 'ServerMonitoringEvent',
  JobFailure: 'JobMonitoringEvent',
} satisfies Record<VaultEvent['type'], string>;

/** Hundreds of nanoseconds from an event to the end of time: 19 digits that sort newest first. */
export function reverseTicks(atMs: number): string {
  return String(maxTicks - (BigInt(Math.trunc(atMs)) + epochMs) * 10_000n).padStart(19, '0');
}

/** `VmMonitoringEvent;{reverseTicks}_{guid}`, as the real service names events. */
export function eventName({ type, atMs, eventId }: VaultEvent): string {
  return `${prefixes[type]};${reverseTicks(atMs)}_${eventId}`;
}

/** An event as ARM answers it. */
export function eventAnswer(vault: VaultRef, event: VaultEvent) {
  return armResource(vault, [['replicationEvents', eventName(event)]], {
    eventCode: event.code,
    description: event.description,
    eventType: event.type,
    affectedObjectFriendlyName: event.affected.name,
    affectedObjectCorrelationId: event.affected.id,
    severity: event.severity,
    timeOfOccurrence: new Date(event.atMs).toISOString(),
    fabricId:
      event.fabric === undefined ? null : childIdOf(vault, [['replicationFabrics', event.fabric.name]]),
    providerSpecificDetails: {
      instanceType: 'InMageAzureV2',
      eventType: null,
      category: null,
      component: null,
      correctiveAction: null,
      details: null,
      summary: null,
      siteName: event.fabric?.serverName ?? null,
    },
    eventSpecificDetails:
      event.job === undefined
        ? null
        : {
            instanceType: 'JobStatus',
            jobId: event.job.jobId,
            jobFriendlyName: event.job.friendlyName,
            jobStatus: 'Failed',
            affectedObjectType: event.job.objectType,
          },
    healthErrors: event.healthErrors.map((error) => ({
      errorSource: null,
      errorType: null,
      errorLevel: null,
      ...error,
      recoveryProviderErrorMessage: null,
      entityId: null,
      customerResolvability: 'NotAllowed',
    })),
  });
}
