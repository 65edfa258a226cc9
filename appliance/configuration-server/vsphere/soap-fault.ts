import type { XmlElement } from '../../../shared/xml.ts';
import { VSphereError } from './vsphere-error.ts';

/** Turns a SOAP fault into the error a person can act on. */
export function toVSphereError(fault: XmlElement, address: string): VSphereError {
  const [detail] = fault.child('detail')?.elements() ?? [];
  const type = faultType(detail);
  switch (type) {
    case 'InvalidLogin':
      return new VSphereError('InvalidLogin', `${address} refuses the account: wrong user name or password`);
    case 'NotAuthenticated':
      return new VSphereError('SessionEnded', `The session on ${address} has ended`);
    case 'NoPermission':
      return new VSphereError(
        'NoPermission',
        `The account may not do this on ${address}${lackingOf(detail)}`,
      );
    default: {
      const text = fault.child('faultstring')?.text.slice(0, 500) ?? '';
      return new VSphereError('ServerFault', `${address} answers with the fault '${type}': ${text}`);
    }
  }
}

type Detail = { name: string; element: XmlElement } | undefined;

function faultType(detail: Detail): string {
  return detail?.element.xsiType ?? detail?.name.replace(/Fault$/u, '') ?? '';
}

function lackingOf(detail: Detail): string {
  const privilege = detail?.element.child('privilegeId')?.text;
  return privilege === undefined ? '' : `: it lacks the privilege ${privilege}`;
}
