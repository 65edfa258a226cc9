import type { XmlElement } from '../../../shared/xml.ts';

/** A property that the server did not give. */
interface MissingProperty {
  path: string;
  /** vSphere's fault: NoPermission, InvalidProperty… */
  fault: string;
  /** For NoPermission: which privilege. */
  privilege: string | undefined;
}

/** One managed object with the properties asked for. Properties without a value are in neither list. */
export interface ObjectContent {
  type: string;
  moref: string;
  properties: ReadonlyMap<string, XmlElement>;
  missing: readonly MissingProperty[];
}

/** Reads one `objects` element of a property collector's answer. */
export function readObjectContent(element: XmlElement): ObjectContent {
  const properties = new Map<string, XmlElement>();
  for (const property of element.children('propSet')) {
    const name = property.child('name')?.text;
    const value = property.child('val');
    if (name !== undefined && value !== undefined) properties.set(name, value);
  }
  const object = element.child('obj');
  return {
    type: object?.attribute('type') ?? '',
    moref: object?.text ?? '',
    properties,
    missing: element.children('missingSet').map((missing) => {
      const fault = missing.child('fault')?.child('fault');
      return {
        path: missing.childText('path'),
        fault: fault?.xsiType ?? 'unknown',
        privilege: fault?.child('privilegeId')?.text,
      };
    }),
  };
}
