/**
 * What the command line asks of an appliance on the same machine: POST /control with a ControlRequest over the unix
 * socket `control.sock` in the data folder, which only the folder's owner can reach. The answer is `{ value }` with the
 * operation's shape of {@link ControlAnswers}, or `{ fault }`.
 */
import { z } from 'zod';
import { Fault } from '../fault.ts';
import { PrerequisiteCheck } from './prerequisite.ts';
import { VCenterGrant, VCenterPrivileges } from './vcenter-privileges.ts';
import { AgentStatus, ItemProgress, ProcessServerHealth } from './check-in.ts';

/** Name of the log in the data folder; `<name>.1` is the one before. */
export const applianceLogName = 'appliance.log';

/** Name of the control socket in the data folder. */
export const controlSocketName = 'control.sock';

const Name = z.string().trim().min(1).max(255);
const Password = z.string().min(1).max(1_000);
/** In PEM or OpenSSH's format, without a passphrase of its own. */
const PrivateKey = z.string().min(1).max(32_000);
const Port = z.number().int().min(1).max(65_535);
/** Used for one request and not kept. */
const Login = z.object({ userName: Name, password: Password });
const timeMs = z.number().int();

/** One question or order to the appliance. */
export const ControlRequest = z.discriminatedUnion('op', [
  z.object({ op: z.literal('status') }),
  /** At least one of password and private key; with a key, the password is for sudo. */
  z.object({
    op: z.literal('accountsAdd'),
    accountName: Name,
    userName: Name,
    password: Password.optional(),
    privateKey: PrivateKey.optional(),
    sshPort: Port.optional(),
  }),
  z.object({
    op: z.literal('accountsUpdate'),
    account: Name,
    userName: Name.optional(),
    password: Password.optional(),
    privateKey: PrivateKey.optional(),
    sshPort: Port.optional(),
  }),
  z.object({ op: z.literal('accountsList') }),
  z.object({ op: z.literal('accountsRemove'), account: Name }),
  z.object({ op: z.literal('passphraseShow') }),
  z.object({ op: z.literal('passphraseSet'), passphrase: z.string().max(1_000) }),
  z.object({ op: z.literal('vCenterList') }),
  /** Pin another certificate, after its fingerprint was compared. */
  z.object({ op: z.literal('vCenterTrust'), vCenterName: Name, fingerprint: z.string().max(200) }),
  /** Give an account the role Azure_Site_Recovery. `vCenter`: its name in the vault, `address` or `address:port`. */
  z.object({
    op: z.literal('vCenterGrant'),
    vCenter: Name,
    administrator: Login,
    account: Name.optional(),
    datacenter: Name.optional(),
    replace: z.boolean(),
  }),
  /** What an account may do; with an administrator's login, what is hidden from it too. */
  z.object({
    op: z.literal('vCenterCheck'),
    vCenter: Name,
    account: Name.optional(),
    administrator: Login.optional(),
  }),
  /** Look at everything, the machine included. */
  z.object({ op: z.literal('doctor') }),
  /** Another certificate for the port that agents come in at. Only while the appliance is stopped. */
  z.object({ op: z.literal('renewCertificate') }),
  /** Forget the vault. Only while the appliance is stopped; `force` does not ask the vault. */
  z.object({ op: z.literal('unregister'), force: z.boolean() }),
  z.object({ op: z.literal('hostKeysList') }),
  /** Take the next key that a machine shows for its own. `address`: with or without its port. */
  z.object({ op: z.literal('hostKeysForget'), address: Name }),
  z.object({ op: z.literal('packagesList') }),
  /** Accept packages signed by another release key from now on. */
  z.object({ op: z.literal('packagesTrust'), fingerprint: z.string().regex(/^[0-9a-f]{64}$/u) }),
  /** Discover every vCenter now. Only a running appliance does. */
  z.object({ op: z.literal('refresh') }),
]);
export type ControlRequest = z.infer<typeof ControlRequest>;

/** A run-as account; its password stays in the store. */
export const AccountSummary = z.object({
  accountId: z.string(),
  accountName: z.string(),
  userName: z.string(),
  /** Of the machines that it is for. */
  sshPort: z.number().int(),
  hasPrivateKey: z.boolean(),
});
export type AccountSummary = z.infer<typeof AccountSummary>;

/** By what key a machine is known that an agent was pushed to. */
export const HostKeySummary = z.object({ host: z.string(), fingerprint: z.string(), firstSeenMs: timeMs });
export type HostKeySummary = z.infer<typeof HostKeySummary>;

/** A package of the mobility agent that the appliance can push. */
const PackageSummary = z.object({
  path: z.string(),
  version: z.string(),
  platform: z.string(),
  sha256: z.string(),
});

/** A vCenter or ESXi host that the appliance discovers. */
export const VCenterSummary = z.object({
  vCenterName: z.string(),
  address: z.string(),
  port: z.number().int(),
  accountId: z.string(),
  fingerprint: z.string().optional(),
  product: z.string().optional(),
  machines: z.number().int().optional(),
  lastSuccessMs: timeMs.optional(),
  /** Why the last try failed, and since when all tries have. */
  fault: Fault.optional(),
  failingSinceMs: timeMs.optional(),
});
export type VCenterSummary = z.infer<typeof VCenterSummary>;

/** How an appliance is doing. What only a running one knows is absent when it is stopped. */
export const ApplianceStatus = z.object({
  state: z.enum(['running', 'stopped']),
  version: z.string(),
  dataFolder: z.string(),
  applianceId: z.string().optional(),
  vaultId: z.string().optional(),
  vaultName: z.string().optional(),
  endpoint: z.string().optional(),
  /** The vault's side. connecting: not reached yet since the start. away: reached before, not now. */
  cloud: z
    .object({
      state: z.enum(['connecting', 'connected', 'away']),
      sinceMs: timeMs,
      fault: Fault.optional(),
      /** The service's clock minus this machine's. */
      clockDifferenceMs: z.number().optional(),
      /** When a heartbeat was last taken. */
      lastHeartbeatMs: timeMs.optional(),
      /** Why check-ins are not taken, and since when; absent while they are. */
      checkIns: z.object({ sinceMs: timeMs, message: z.string() }).optional(),
    })
    .optional(),
  processServer: z
    .object({
      host: z.string(),
      port: z.number().int(),
      caFingerprint: z.string(),
      certificateExpiresAtMs: timeMs,
      health: ProcessServerHealth,
    })
    .optional(),
  /** The machines that it replicates, and why one stands still. */
  replication: z.array(ItemProgress.pick({ protectedItemId: true, phase: true, fault: true })).optional(),
  agents: z.array(AgentStatus),
  accounts: z.array(AccountSummary),
  vCenters: z.array(VCenterSummary),
  /** Check-ins that wait for the vault. */
  outboxWaiting: z.number().int(),
  pendingCommands: z.array(z.object({ commandId: z.string(), kind: z.string(), receivedAtMs: timeMs })),
  startedAtMs: timeMs.optional(),
});
export type ApplianceStatus = z.infer<typeof ApplianceStatus>;

/** One thing that was looked at. */
export const Finding = z.object({
  subject: z.string(),
  outcome: PrerequisiteCheck.shape.outcome,
  found: z.string(),
  /** What to do; empty when passed. */
  action: z.string(),
});
export type Finding = z.infer<typeof Finding>;

/** What each operation answers. */
export const ControlAnswers = {
  status: ApplianceStatus,
  accountsAdd: AccountSummary,
  accountsUpdate: AccountSummary,
  accountsList: z.array(AccountSummary),
  accountsRemove: AccountSummary,
  passphraseShow: z.object({ passphrase: z.string() }),
  passphraseSet: z.object({}),
  vCenterList: z.array(VCenterSummary),
  vCenterTrust: VCenterSummary,
  hostKeysList: z.array(HostKeySummary),
  hostKeysForget: z.object({}),
  packagesList: z.array(PackageSummary),
  packagesTrust: z.array(PackageSummary),
  doctor: z.array(Finding),
  renewCertificate: z.object({ fingerprint: z.string(), expiresAtMs: timeMs }),
  unregister: z.object({}),
  vCenterGrant: VCenterGrant,
  vCenterCheck: VCenterPrivileges,
  refresh: z.array(VCenterSummary),
} satisfies Record<ControlRequest['op'], z.ZodType>;

/** What operation `O` answers. */
export type ControlAnswer<O extends ControlRequest['op']> = z.infer<(typeof ControlAnswers)[O]>;

/** The envelope of every answer. */
export const ControlReply = z.union([z.object({ value: z.unknown() }), z.object({ fault: Fault })]);
