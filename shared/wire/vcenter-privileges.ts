/** What an appliance answers about the privileges of an account on a vCenter or an ESXi host. */
import { z } from 'zod';

/** What granting the role did. Repeating it does nothing more. */
export const VCenterGrant = z.object({
  /** SHA-256 of the server's certificate, to be compared with the server's own. */
  fingerprint: z.string(),
  role: z.string(),
  roleChange: z.enum(['made', 'completed', 'unchanged']),
  addedPrivileges: z.array(z.string()),
  /** In the tutorial's list, and unknown to this release of vSphere. */
  unknownPrivileges: z.array(z.string()),
  datacenter: z.string(),
  principal: z.string(),
  permission: z.enum(['given', 'unchanged']),
  /** The role that the account had there before. */
  replacedRole: z.string().optional(),
});
export type VCenterGrant = z.infer<typeof VCenterGrant>;

/** An object of the vCenter's inventory; the name is empty where the account may not read it. */
const InventoryObject = z.object({ type: z.string(), moref: z.string(), name: z.string() });

/** A privilege that is missing, and where. At most 100 objects are named. */
const LackingPrivilege = z.object({
  privilege: z.string(),
  /** On how many objects. */
  count: z.number().int(),
  objects: z.array(InventoryObject).max(100),
});

/** What an account may do on a vCenter. */
export const VCenterPrivileges = z.object({
  fingerprint: z.string(),
  product: z.string(),
  principal: z.string(),
  machines: z.number().int(),
  /** Missing for discovery; empty when it is complete. */
  discovery: z.array(LackingPrivilege),
  /** Missing for failover and failback; empty when nothing is. */
  fullCycle: z.array(LackingPrivilege),
  /** Listed, and not readable: the account lacks System.Read there. */
  unreadable: z.array(InventoryObject).max(1_000),
  /** Machines that hosts or datastores name and the account does not see. */
  hidden: z.array(InventoryObject).max(1_000),
  /** Objects on which the role No access is given to the account. Only an administrator sees all of them. */
  noAccess: z.array(InventoryObject).max(1_000),
  /** Whether an administrator was asked too, so that `hidden` and `noAccess` are whole. */
  asAdministrator: z.boolean(),
});
export type VCenterPrivileges = z.infer<typeof VCenterPrivileges>;
