import { Command } from 'commander';
import type { VCenterSummary } from '../shared/wire/appliance-control.ts';
import {
  common,
  print,
  readSecret,
  withPassword,
  type CommonOptions,
  type PasswordOptions,
} from './appliance-options.ts';
import { describeGrant, describePrivileges } from './appliance-privileges.ts';
import { askAppliance } from './control-client.ts';

/** `secondsite appliance vcenter …` */
export function vCenterCommand(): Command {
  const group = new Command('vcenter').description('vCenter servers and ESXi hosts that are discovered');
  group.addCommand(
    common('list', 'list them, with their certificates and how the last discovery went').action(
      async ({ dataFolder, json }: CommonOptions) => {
        const vCenters = await askAppliance(dataFolder, { op: 'vCenterList' });
        print(json, vCenters, describeVCenters(vCenters));
      },
    ),
  );
  group.addCommand(
    common('trust', 'accept the new certificate of a vCenter, after comparing its fingerprint there')
      .argument('<vcenter>', 'its name in the vault')
      .argument('<fingerprint>', "SHA-256 of the certificate, as the server's own console shows it")
      .action(async (vCenterName: string, fingerprint: string, { dataFolder, json }: CommonOptions) => {
        const vCenter = await askAppliance(dataFolder, { op: 'vCenterTrust', vCenterName, fingerprint });
        print(json, vCenter, describeVCenters([vCenter]));
      }),
  );
  group.addCommand(grantCommand());
  group.addCommand(checkCommand());
  return group;
}

/** `secondsite appliance refresh` */
export function refreshCommand(): Command {
  return common('refresh', 'discover every vCenter now').action(
    async ({ dataFolder, json }: CommonOptions) => {
      const vCenters = await askAppliance(dataFolder, { op: 'refresh' });
      print(json, vCenters, describeVCenters(vCenters));
      if (vCenters.some(({ fault }) => fault !== undefined)) process.exitCode = 1;
    },
  );
}

function grantCommand(): Command {
  return withPassword(
    'grant',
    'give an account the role Azure_Site_Recovery on a datacenter, as an administrator',
  )
    .argument('<vcenter>', 'its name in the vault, or its address[:port]')
    .requiredOption(
      '--administrator <user>',
      'who may change roles and permissions there; the password is theirs',
    )
    .option(
      '--account <account>',
      "id or name of the appliance's account that gets the role; left out, the vCenter's own",
    )
    .option('--datacenter <name>', 'the datacenter, where there are several')
    .option('--replace', 'also where the account has another role there, which it loses')
    .action(async (vCenter: string, options: CommonOptions & PasswordOptions & GrantFlags) => {
      const { dataFolder, json, administrator: userName, account, datacenter, replace = false } = options;
      const password = await readSecret('administrator’s password', options.passwordEnv);
      const grant = await askAppliance(dataFolder, {
        op: 'vCenterGrant',
        vCenter,
        administrator: { userName, password },
        account,
        datacenter,
        replace,
      });
      print(json, grant, describeGrant(grant));
    });
}

interface GrantFlags {
  administrator: string;
  account?: string;
  datacenter?: string;
  replace?: boolean;
}

function checkCommand(): Command {
  return withPassword('check', 'say what an account may do on a vCenter, and what is hidden from it')
    .argument('<vcenter>', 'its name in the vault, or its address[:port]')
    .option('--account <account>', "id or name of the appliance's account; left out, the vCenter's own")
    .option(
      '--administrator <user>',
      'ask as an administrator too, to see all that is hidden; the password is theirs',
    )
    .action(
      async (
        vCenter: string,
        options: CommonOptions & PasswordOptions & { account?: string; administrator?: string },
      ) => {
        const { dataFolder, json, account, administrator: userName } = options;
        const administrator =
          userName === undefined
            ? undefined
            : { userName, password: await readSecret('administrator’s password', options.passwordEnv) };
        const found = await askAppliance(dataFolder, { op: 'vCenterCheck', vCenter, account, administrator });
        print(json, found, describePrivileges(found));
        if (found.discovery.length > 0) process.exitCode = 1;
      },
    );
}

function describeVCenters(vCenters: VCenterSummary[]): string {
  if (vCenters.length === 0) return 'There are no vCenters yet: add one in the vault.';
  return vCenters.map(describeVCenter).join('\n');
}

function describeVCenter(vCenter: VCenterSummary): string {
  const { vCenterName, address, port, product, machines, fingerprint, lastSuccessMs, fault, failingSinceMs } =
    vCenter;
  return [
    `${vCenterName}  ${address}:${port}  ${product ?? ''}`,
    `  machines ${machines ?? 0}, last discovered ${describeTime(lastSuccessMs)}`,
    `  certificate ${fingerprint ?? 'not seen yet'}`,
    ...(fault === undefined ? [] : [`  failing since ${describeTime(failingSinceMs)}: ${fault.message}`]),
    ...(fault?.recommendedAction === undefined ? [] : [`  ${fault.recommendedAction}`]),
  ].join('\n');
}

function describeTime(ms: number | undefined): string {
  return ms === undefined ? 'never' : new Date(ms).toISOString();
}
