import { z } from 'zod';

const text = z
  .string()
  .max(2_000)
  .nullish()
  .transform((value) => value ?? undefined);

/** Body of POST replicationJobs/{job}/resume. */
export const ResumeJobBody = z.object({
  properties: z.object({ comments: text }).nullish(),
});

/** Body of POST replicationJobs/export: which jobs, and in which form. */
export const ExportJobsBody = z.object({
  startTime: text,
  endTime: text,
  fabricId: text,
  affectedObjectTypes: text,
  jobStatus: text,
  jobName: text,
  /** Excel is not written: anything that reads it reads these too. */
  jobOutputType: z
    .enum(['Json', 'Xml'], { error: "must be 'Json' or 'Xml'" })
    .nullish()
    .transform((value) => value ?? 'Json'),
  timezoneOffset: z.number().nullish(),
});
