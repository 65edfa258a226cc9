/** The body of a `FramePool` thread: does one job after another and hands the bytes back without copying them. */
import { parentPort } from 'node:worker_threads';
import type { FrameJob, FrameJobResult } from './frame-job.ts';
import { inputOf, runFrameJob } from './frame-job.ts';
import { free } from './free.ts';

if (parentPort === null) throw new Error('frame-worker is a thread of FramePool, not a program');
const port = parentPort;

port.on('message', ({ id, job }: { id: number; job: FrameJob }) => {
  try {
    const bytes = runFrameJob(job);
    const result: FrameJobResult = { id, bytes };
    port.postMessage(result, [bytes.buffer]);
  } catch (error) {
    const result: FrameJobResult = { id, error: error instanceof Error ? error.message : String(error) };
    port.postMessage(result);
  } finally {
    const input = inputOf(job);
    if (input !== undefined) free(input);
  }
});
