import { escapeXml, parseXml, XmlError, type XmlElement } from '../../shared/xml.ts';

/** A fault that a vSphere server answers with. */
export class SoapFault extends Error {
  /** vSphere's type: InvalidLogin, NotAuthenticated… */
  readonly type: string;
  /** The fault's own fields, XML. */
  readonly fields: string;

  constructor(type: string, message: string, fields = '') {
    super(message);
    this.type = type;
    this.fields = fields;
  }
}

/** A call as it came. */
export interface SoapCall {
  method: string;
  /** The id of the object it is called on. */
  on: string;
  parameters: XmlElement;
}

/** @throws SoapFault when it is no SOAP request. */
export function readCall(text: string): SoapCall {
  try {
    const body = parseXml(text).child('Envelope')?.child('Body');
    const [call, ...others] = body?.elements() ?? [];
    if (call === undefined || others.length > 0) {
      throw new SoapFault('InvalidRequest', 'The body must hold one call');
    }
    return { method: call.name, on: call.element.child('_this')?.text ?? '', parameters: call.element };
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    throw new SoapFault('InvalidRequest', error.message);
  }
}

/** The answer to a call; `result` is the content of its response element. */
export function writeAnswer(method: string, result: string): string {
  return envelope(`<${method}Response xmlns="urn:vim25">${result}</${method}Response>`);
}

export function writeFault({ type, message, fields }: SoapFault): string {
  return envelope(
    `<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>${escapeXml(message)}</faultstring>\
<detail><${type}Fault xmlns="urn:vim25" xsi:type="${type}">${fields}</${type}Fault></detail></soapenv:Fault>`,
  );
}

function envelope(body: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" \
xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>
${body}
</soapenv:Body></soapenv:Envelope>`;
}

/** One element with text. */
export function leaf(name: string, value: string | number | boolean): string {
  return `<${name}>${escapeXml(String(value))}</${name}>`;
}

/** A reference to a managed object. */
export function reference(name: string, type: string, moref: string): string {
  return `<${name} type="${type}">${escapeXml(moref)}</${name}>`;
}
