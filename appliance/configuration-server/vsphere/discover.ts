import type { DiscoveryReport } from '../../../shared/wire/discovery.ts';
import type { VSphereClient } from './client.ts';
import { Picture } from './picture.ts';

/**
 * Reads all machines that the account may see on a vCenter or an ESXi host, in the order of their ids. Templates and the
 * appliance itself are not among them; machines that cannot be described are listed apart, with the reason.
 *
 * @param vCenterName what the vault calls this server.
 * @throws VSphereError Unreachable, NoPermission, BadAnswer, SessionEnded, ServerFault.
 */
export async function discover(client: VSphereClient, vCenterName: string): Promise<DiscoveryReport> {
  const discoveredAtMs = Date.now();
  const picture = await Picture.read(client);
  return picture.report(vCenterName, discoveredAtMs);
}
