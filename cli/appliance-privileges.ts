import type { VCenterGrant, VCenterPrivileges } from '../shared/wire/vcenter-privileges.ts';

/** What granting did, for a person. */
export function describeGrant(grant: VCenterGrant): string {
  const { role, roleChange, addedPrivileges, unknownPrivileges, datacenter, principal, permission } = grant;
  const changes = {
    made: `The role ${role} is made, with ${addedPrivileges.length} privileges.`,
    completed: `The role ${role} lacked ${addedPrivileges.join(', ')}, and has them now.`,
    unchanged: `The role ${role} has all it needs.`,
  };
  const given = `role ${role} on the datacenter '${datacenter}' and everything below it`;
  return [
    changes[roleChange],
    permission === 'given' ? `${principal} has the ${given} now.` : `${principal} has the ${given} already.`,
    ...(grant.replacedRole === undefined ? [] : [`It lost the role '${grant.replacedRole}' there.`]),
    ...(unknownPrivileges.length === 0
      ? []
      : [`This release does not know ${unknownPrivileges.join(', ')}.`]),
    `certificate ${grant.fingerprint}`,
  ].join('\n');
}

/** What an account may do, for a person. */
export function describePrivileges(found: VCenterPrivileges): string {
  const { principal, product, machines, unreadable, hidden, noAccess, asAdministrator } = found;
  return [
    `${principal} on ${product}: ${machines} machines seen`,
    `certificate ${found.fingerprint}`,
    ...describeLacking('Discovery', found.discovery),
    ...describeLacking('Failover and failback', found.fullCycle),
    ...describeObjects('Listed, and not readable (System.Read is missing):', unreadable),
    ...describeObjects('Hidden from the account:', hidden),
    ...describeObjects('The account has the role No access on:', noAccess),
    asAdministrator
      ? 'An administrator was asked too: nothing else is hidden.'
      : 'With --administrator, machines that are hidden whole are found too.',
  ].join('\n');
}

function describeLacking(what: string, lacking: VCenterPrivileges['discovery']): string[] {
  if (lacking.length === 0) return [`${what}: nothing is missing`];
  return [
    `${what}: missing`,
    ...lacking.map(({ privilege, count, objects }) => {
      const names = objects.slice(0, 3).map(nameOf).join(', ');
      return `  ${privilege} on ${names}${count > 3 ? ` and ${count - 3} more` : ''}`;
    }),
  ];
}

function describeObjects(title: string, objects: VCenterPrivileges['hidden']): string[] {
  return objects.length === 0 ? [] : [title, ...objects.map((object) => `  ${nameOf(object)}`)];
}

function nameOf({ type, moref, name }: VCenterPrivileges['hidden'][number]): string {
  return name === '' ? `${type} ${moref}` : `${name} (${moref})`;
}
