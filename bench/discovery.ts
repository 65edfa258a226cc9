/**
 * Discovery of govmomi's simulator with 5,000 machines: the whole of it against reading the same properties off the wire
 * and parsing them, and how soon ten changes are heard. Needs what test/contract/vsphere/vcsim.ts builds.
 *
 * The simulator (0.24.2) collects all objects of a filter anew for every update of any object, and a rename brings four
 * (its task's begin, run and end beside its own): 40 times all 5,000 machines for ten changes. `incremental_heard_seconds`
 * is what it takes to tell them to somebody who does nothing else; a filter of one property takes it 3 s all the same.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { startVcsim, whyNoVcsim } from '../test/contract/vsphere/vcsim.ts';

const machines = 5_000;
const rounds = 3;
const account = { user: 'bench', password: 'bench-password' };

const Sample = z.object({ seconds: z.number(), peakRssMb: z.number(), machines: z.number() });

/** Runs it and prints a table, or with `json` one object. @returns the exit code */
export async function benchDiscovery({ json }: { json: boolean }): Promise<number> {
  const missing = whyNoVcsim();
  if (missing !== undefined) {
    process.stderr.write(`The simulator can't be built: ${missing}\n`);
    return 2;
  }
  const server = await startVcsim('vpx', account, machines);
  try {
    const wire: number[] = [];
    const full: number[] = [];
    const peaks: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      wire.push((await sample('wire', server.port)).seconds);
      const discovered = await sample('full', server.port);
      full.push(discovered.seconds);
      peaks.push(discovered.peakRssMb);
    }
    const heard = await sample('heard', server.port);
    const incremental = await sample('incremental', server.port);
    const result = {
      machines,
      wire_seconds: median(wire),
      full_seconds: median(full),
      full_vs_wire: round2(median(full) / median(wire)),
      incremental_seconds: round2(incremental.seconds),
      incremental_heard_seconds: round2(heard.seconds),
      peak_rss_mb: Math.round(Math.max(...peaks, incremental.peakRssMb)),
    };
    process.stdout.write(json ? `${JSON.stringify(result)}\n` : inWords(result));
    return 0;
  } finally {
    await server.close();
  }
}

/** Each in a process of its own, so that one's memory is not another's. */
async function sample(
  what: 'wire' | 'full' | 'heard' | 'incremental',
  port: number,
): Promise<z.infer<typeof Sample>> {
  const worker = fileURLToPath(new URL('discovery-worker.ts', import.meta.url));
  const child = spawn(process.execPath, [worker, what, String(port), account.user, account.password], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return Sample.parse(JSON.parse(await text(child.stdout)));
}

function median(values: readonly number[]): number {
  return round2(values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN);
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

function inWords(result: Record<string, number>): string {
  const width = Math.max(...Object.keys(result).map((name) => name.length));
  return Object.entries(result)
    .map(([name, value]) => `${name.padEnd(width)}  ${value}\n`)
    .join('');
}
