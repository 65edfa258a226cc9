/** `npm run bench -- <name> [--json]` */
import { parseArgs } from 'node:util';
import { benchDiscovery } from './discovery.ts';

/** One file a bench; each prints its table, or with `json` one object on its last line, and gives the exit code. */
const benches: Record<string, (options: { json: boolean }) => Promise<number>> = {
  discovery: benchDiscovery,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false } },
});
const bench = benches[positionals[0] ?? ''];
if (bench === undefined) {
  process.stderr.write(`usage: npm run bench -- ${Object.keys(benches).join('|')} [--json]\n`);
  process.exitCode = 2;
} else {
  process.exitCode = await bench({ json: values.json });
}
