/** What tells how an appliance is doing, and what is done rarely. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Command } from 'commander';
import { applianceLogName, type Finding } from '../shared/wire/appliance-control.ts';
import { common, print, type CommonOptions } from './appliance-options.ts';
import { inColumns } from './appliance-status.ts';
import { askAppliance } from './control-client.ts';
import { installedVersion } from './run-part.ts';
import { tar } from './tar.ts';

/** `secondsite appliance doctor|logs|bundle|renew-certificate|unregister` */
export function supportCommands(): Command[] {
  return [doctorCommand(), logsCommand(), bundleCommand(), renewCommand(), unregisterCommand()];
}

function doctorCommand(): Command {
  return common('doctor', 'look at everything: what is wrong, since when, and what to do').action(
    async ({ dataFolder, json }: CommonOptions) => {
      const findings = await askAppliance(dataFolder, { op: 'doctor' });
      print(json, findings, describeFindings(findings));
      if (findings.some(({ outcome }) => outcome === 'Failed')) process.exitCode = 1;
    },
  );
}

function describeFindings(findings: Finding[]): string {
  const marks = { Failed: 'FAIL', Warning: 'WARN', Passed: 'pass' };
  const rows = inColumns(
    findings.map(({ subject, outcome, found }) => [marks[outcome], subject, found]),
  ).split('\n');
  return findings
    .flatMap(({ action }, at) => [rows[at] ?? '', ...(action === '' ? [] : [`      ${action}`])])
    .join('\n');
}

function logsCommand(): Command {
  return common('logs', "the appliance's log, one JSON object a line")
    .option('--lines <number>', 'how many of the last lines', '200')
    .action(({ dataFolder, lines }: CommonOptions & { lines: string }) => {
      const last = readLog(dataFolder).trimEnd().split('\n').slice(-Number(lines));
      process.stdout.write(`${last.join('\n')}\n`);
    });
}

/** The log and the one before it; empty when the appliance never ran. */
function readLog(dataFolder: string): string {
  const path = join(dataFolder, applianceLogName);
  return [`${path}.1`, path].map((name) => (existsSync(name) ? readFileSync(name, 'utf8') : '')).join('');
}

function bundleCommand(): Command {
  return common('bundle', 'pack log, settings and health for support; there is no secret in it')
    .option(
      '--out <file>',
      'where to write it',
      (path) => resolve(path),
      resolve('secondsite-appliance.tar.gz'),
    )
    .action(async ({ dataFolder, json, out }: CommonOptions & { out: string }) => {
      const files = [
        { name: 'status.json', content: inJson(await askAppliance(dataFolder, { op: 'status' })) },
        { name: 'doctor.json', content: inJson(await askAppliance(dataFolder, { op: 'doctor' })) },
        { name: 'versions.json', content: inJson(versions()) },
        { name: applianceLogName, content: readLog(dataFolder) },
      ];
      writeFileSync(out, gzipSync(tar(files, Date.now())), { mode: 0o600 });
      print(json, { out, files: files.map(({ name }) => name) }, `Wrote ${out}.`);
    });
}

function inJson(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function versions(): object {
  const { version: node, platform, arch } = process;
  return { secondsite: installedVersion(), node, platform, arch, kernel: release() };
}

function renewCommand(): Command {
  return common(
    'renew-certificate',
    'make another certificate for the port that agents come in at; the appliance may run',
  ).action(async ({ dataFolder, json }: CommonOptions) => {
    const renewed = await askAppliance(dataFolder, { op: 'renewCertificate' });
    const until = new Date(renewed.expiresAtMs).toISOString();
    print(json, renewed, `The port's certificate is ${renewed.fingerprint} now, good until ${until}.`);
  });
}

function unregisterCommand(): Command {
  return common(
    'unregister',
    'forget the vault, while the appliance is stopped; delete the server in the vault first',
  )
    .option('--force', 'also when the vault still has the server, or is not reached')
    .action(async ({ dataFolder, json, force = false }: CommonOptions & { force?: boolean }) => {
      await askAppliance(dataFolder, { op: 'unregister', force });
      print(json, {}, `The appliance in ${dataFolder} belongs to no vault any more.`);
    });
}
