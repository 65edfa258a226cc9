import { DomainError } from '../../shared/fault.ts';

/**
 * Why an agent could not be pushed, under Site Recovery's codes where it has one.
 * Source: https://learn.microsoft.com/azure/site-recovery/vmware-azure-troubleshoot-push-install
 */
const reasons = {
  /** The account's name, password or key is not accepted. */
  wrongCredentials: {
    armCode: '95108',
    causes:
      'The account chosen when replication was enabled is not one of this machine, its password or key is wrong, or the SSH server does not let it in this way (PasswordAuthentication, PubkeyAuthentication, PermitRootLogin).',
    action:
      'Correct the account with `secondsite appliance accounts update`, or choose another when you enable replication.',
  },
  /** It is let in, and may not become root. */
  notRoot: {
    armCode: '95517',
    causes:
      'The account is not root and may not use sudo, its password is not accepted by sudo, or sudo asks for a terminal (requiretty).',
    action: 'Use the account root, or let this one run all commands by sudo, without `requiretty`.',
  },
  unreachable: {
    armCode: '95117',
    causes:
      'The machine is off, its address is another by now, sshd does not run there, or a firewall is between.',
    action:
      'Check that the appliance reaches the SSH port of the machine; another port than 22 belongs to the account (--ssh-port).',
  },
  /** The host shows another key than before. */
  hostKeyChanged: {
    armCode: 'HostKeyChanged',
    causes:
      'The machine was installed anew or has a new key, its address belongs to another machine now, or somebody is between.',
    action:
      'Compare the fingerprint with the machine’s (ssh-keygen -lf); when it is right: `secondsite appliance host-keys forget ADDRESS`, then enable again.',
  },
  otherMachine: {
    armCode: 'OtherMachine',
    causes: 'Its address was given to another machine.',
    action:
      'Refresh the configuration server so that the machine’s address is known anew, then enable replication again.',
  },
  unsupported: {
    armCode: 'UnsupportedOperatingSystem',
    causes:
      'The mobility agent runs on Linux with glibc 2.28 or newer, bash, tar and gzip, on the platforms that there is a package for.',
    action:
      'Update the machine, or put a package for its platform into `packages` of the appliance’s data folder.',
  },
  windows: {
    armCode: '95107',
    causes:
      'The mobility agent follows the writes of Linux disks; there is none for Windows yet, and the appliance does not speak WinRM.',
    action:
      'Protect Linux machines. On Windows, leave the machine as it is: setting LocalAccountTokenFilterPolicy=1, which a push with a local account would need there, changes nothing yet.',
  },
  noRoom: {
    armCode: 'InsufficientDiskSpace',
    causes: 'Too little is free on the machine.',
    action: 'Free some room there, then enable replication again.',
  },
  noPackage: {
    armCode: 'NoMobilityServicePackage',
    causes: 'Nobody has put one there, or it was removed.',
    action:
      'Put the agent’s package with SHA256SUMS, SHA256SUMS.sig and release.pub into `packages` of the data folder, or install the agent by hand.',
  },
  untrustedPackage: {
    armCode: 'UntrustedPackage',
    causes: 'A file was altered, or is signed by another key than the packages before.',
    action:
      'Fetch the release again; a new release key is accepted with `secondsite appliance packages trust FINGERPRINT`.',
  },
  noAddress: {
    armCode: '95117',
    causes: 'VMware Tools do not run in the machine, so that vCenter knows no address of it.',
    action: 'Start open-vm-tools there and refresh the configuration server, or install the agent by hand.',
  },
  failed: {
    armCode: 'MobilityServiceInstallFailed',
    causes: 'What the installer said stands above.',
    action: 'Put it right, then enable replication again: repeating it is harmless.',
  },
  rolledBack: {
    armCode: 'MobilityServiceRolledBack',
    causes: 'The new version does not come up on this machine.',
    action: 'Replication goes on with the version before. Look at the agent’s log on the machine.',
  },
  enrolmentRefused: {
    armCode: 'MobilityServiceRegistrationFailed',
    causes: 'The machine does not reach the process server’s port, or its clock is wrong.',
    action:
      'Open the port from the machine to the appliance (9443 by custom), then enable replication again.',
  },
} as const;

export type PushReason = keyof typeof reasons;

/** A push that failed for a reason that somebody can do something about. */
export function pushError(reason: PushReason, message: string, cause?: unknown): DomainError {
  const { armCode, causes, action } = reasons[reason];
  return new DomainError(
    {
      code: 'RemoteFailure',
      armCode,
      message: message.slice(0, 4_000),
      possibleCauses: causes,
      recommendedAction: action,
    },
    { cause },
  );
}
