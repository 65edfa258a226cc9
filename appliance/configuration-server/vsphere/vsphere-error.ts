import { DomainError, type Fault } from '../../../shared/fault.ts';

/** Why a vCenter or ESXi host could not be used. */
export type VSphereReason =
  /** User name or password are wrong. Trying again soon may lock the account. */
  | 'InvalidLogin'
  /** The account is good and lacks a privilege. */
  | 'NoPermission'
  /** No connection, no answer in time, or the server is still starting. */
  | 'Unreachable'
  /** The server shows another certificate than the pinned one; nothing was sent to it. */
  | 'CertificateChanged'
  /** Something answers there, but it is no vSphere. */
  | 'NotVSphere'
  /** The answer is larger, deeper or otherwise other than vSphere's may be. */
  | 'BadAnswer'
  /** The session ended while in use, by time or by an administrator. */
  | 'SessionEnded'
  /** Any other fault of the server. */
  | 'ServerFault';

const codes = {
  InvalidLogin: 'AuthenticationFailed',
  NoPermission: 'AuthorizationFailed',
  Unreachable: 'Unavailable',
  CertificateChanged: 'RemoteFailure',
  NotVSphere: 'RemoteFailure',
  BadAnswer: 'RemoteFailure',
  SessionEnded: 'Unavailable',
  ServerFault: 'RemoteFailure',
} as const satisfies Record<VSphereReason, Fault['code']>;

const actions: Record<VSphereReason, string> = {
  InvalidLogin:
    'Correct the account’s user name and password at the configuration server. Too many wrong tries lock the account.',
  NoPermission:
    'Give the account at least the Read-only role on the datacenter, with propagation to its children.',
  Unreachable:
    'Check the address and port, that the server is up, and that the firewall lets the configuration server through.',
  CertificateChanged:
    'Compare the new fingerprint with the one the server itself shows. Accept it only if they are the same: nothing was sent to the server.',
  NotVSphere: 'Check the address and port: it must be a vCenter Server or an ESXi host, usually on port 443.',
  BadAnswer: 'Check that the address is that of a vCenter Server or an ESXi host, version 6.0 or later.',
  SessionEnded: 'Nothing needs to be done: the next discovery logs in anew.',
  ServerFault: 'Look at the server’s own log for the time of this error.',
};

/** An error of a vCenter or ESXi host, as a fault that a person can act on. */
export class VSphereError extends DomainError {
  readonly reason: VSphereReason;

  constructor(reason: VSphereReason, message: string, options?: ErrorOptions & { target?: string }) {
    super(
      {
        code: codes[reason],
        message: message.slice(0, 4000),
        recommendedAction: actions[reason],
        ...(options?.target === undefined ? {} : { target: options.target.slice(0, 2000) }),
      },
      options,
    );
    this.name = 'VSphereError';
    this.reason = reason;
  }
}
