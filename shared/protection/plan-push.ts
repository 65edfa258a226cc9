import { type PushTarget } from '../wire/command.ts';
import { type ProtectedItem } from './protected-item.ts';

const addressesAtMost = 20;

/**
 * How the item's appliance may install the mobility agent on its machine.
 *
 * @param addresses those that the machine has now
 * @param accountId in place of the account that was chosen when replication was enabled
 * @returns undefined when there is no account: then the agent is installed by hand
 */
export function planPush(
  item: Pick<ProtectedItem, 'machine' | 'runAsAccountId'>,
  addresses: readonly string[],
  accountId?: string,
): PushTarget | undefined {
  const chosen = accountId ?? item.runAsAccountId;
  if (chosen === undefined) return undefined;
  const known = [...addresses, item.machine.ipAddress].filter(
    (address) => address !== '' && !isLocal(address),
  );
  const inOrder = [
    ...known.filter((address) => !address.includes(':')),
    ...known.filter((address) => address.includes(':')),
  ];
  return {
    addresses: [...new Set(inOrder)].slice(0, addressesAtMost),
    osType: item.machine.osType,
    accountId: chosen,
  };
}

/** Good on one link only, of which the appliance may not be. */
function isLocal(address: string): boolean {
  return /^(?:fe80:|169\.254\.)/iu.test(address);
}
