/** The Export jobs job: a list of jobs in a blob. */
import { JobExportInput, writeJobExport } from '../activities/export-jobs.ts';
import { jobOrchestration, noteJob, runTask } from './run-job.ts';

/** Orchestration's name. */
export const exportJobs = 'exportJobs';

export const ExportJobsInput = JobExportInput;

/** Where the job notes its form. */
export const exportFormKey = 'outputType';

jobOrchestration(exportJobs, ExportJobsInput, {
  *run(job, input) {
    yield* runTask(job, 'ExportJobs', function* () {
      const { vault, jobId } = job;
      const { jobs } = yield* writeJobExport(job.context, { ...input, vault, jobId });
      yield* noteJob(job, { [exportFormKey]: input.form, jobs: String(jobs) });
    });
  },
});
