import type { Site } from '../site.ts';

/** What one part of the bench measured: every sample of each figure, and of what else is worth telling. */
export interface Samples {
  /** By the figure's name; medians are told. */
  figures: Record<string, number[]>;
  /** Seconds, megabytes and such that the figures are made of. */
  details: Record<string, number[]>;
}

/** Adds a sample. */
export function note(samples: Record<string, number[]>, name: string, value: number): void {
  (samples[name] ??= []).push(value);
}

/** Of agent and process server, whichever had more memory. */
export function peakOf(site: Site): number {
  return Math.max(...Object.values(site.peakMegabytes()));
}
