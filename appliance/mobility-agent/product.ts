import type { Product } from '../service/product.ts';

/** The mobility agent as a service of its machine. */
export const agentProduct: Product = {
  name: 'secondsite-agent',
  title: 'The mobility agent of Secondsite',
  folder: '/opt/secondsite/agent',
  dataFolder: '/var/lib/secondsite-agent',
  unitOptions: [
    '# The watchdog of a freeze has to outlive the agent: it thaws the file systems.',
    'KillMode=process',
    'OOMScoreAdjust=-500',
    'Nice=5',
    'IOSchedulingClass=best-effort',
    'IOSchedulingPriority=6',
    'LimitNOFILE=65536',
    '# No option that gives the service mounts or devices of its own (ProtectSystem, PrivateTmp, PrivateDevices,',
    '# ProtectKernelTunables, ...): the agent freezes the mounts of the machine, reads its disks and writes to tracefs.',
    '# Nor NoNewPrivileges: hooks may use sudo.',
    'LockPersonality=yes',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    'RestrictNamespaces=yes',
    'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK',
    'SystemCallArchitectures=native',
    'SystemCallFilter=~@clock @cpu-emulation @module @obsolete @reboot @swap',
    '# Freezing and tracing (SYS_ADMIN), all disks and files (DAC_*), the watchdog out of the OOM killer’s sight',
    '# (SYS_RESOURCE), hooks that become another user (SETUID, SETGID, AUDIT_WRITE, CHOWN, FOWNER, KILL).',
    'CapabilityBoundingSet=CAP_SYS_ADMIN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_SYS_RESOURCE CAP_SYS_NICE CAP_SETUID CAP_SETGID CAP_AUDIT_WRITE CAP_CHOWN CAP_FOWNER CAP_KILL',
  ],
};

/** Settings of an installed agent, beside which it needs none. */
export const agentConfigPath = '/etc/secondsite/agent.json';
