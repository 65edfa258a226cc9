// `npm run docs:tutorials`: runs the tutorials and writes what their steps printed into them.
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { runTutorial } from './run-tutorial.ts';
import { formatTutorial, parseTutorial } from './transcript.ts';

for (const name of process.argv.slice(2)) {
  const path = resolve(import.meta.dirname, '..', '..', 'docs', name);
  writeFileSync(path, formatTutorial(await runTutorial(parseTutorial(readFileSync(path, 'utf8')))));
  process.stdout.write(`${name} is written.\n`);
}
