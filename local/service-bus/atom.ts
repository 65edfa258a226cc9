/** The Atom documents of the Service Bus administration API. */
import { XMLParser } from 'fast-xml-parser';
import { NEVER } from './duration.ts';
import type { Queue } from './queue.ts';

const SERVICE_BUS = 'http://schemas.microsoft.com/netservices/2010/10/servicebus/connect';
const COUNTS = 'http://schemas.microsoft.com/netservices/2011/06/servicebus';
const XSI = 'http://www.w3.org/2001/XMLSchema-instance';
const ATOM = 'http://www.w3.org/2005/Atom';

/** Bytes that are not the document they should be. */
export class MalformedDocument extends Error {}

const parser = new XMLParser({ ignoreAttributes: true, parseTagValue: false, removeNSPrefix: true });

/**
 * The settings in an entry with a QueueDescription, by name; nested ones (authorization rules) count as given.
 * @throws MalformedDocument
 */
export function readQueueSettings(xml: string): Record<string, string> {
  let document: unknown;
  try {
    document = parser.parse(xml, true);
  } catch (cause) {
    throw new MalformedDocument('The body is not XML.', { cause });
  }
  const description = child(child(child(document, 'entry'), 'content'), 'QueueDescription');
  if (description === undefined)
    throw new MalformedDocument(
      'The body is no entry with a QueueDescription; the local Service Bus has queues only.',
    );
  const settings: Record<string, string> = {};
  for (const [name, value] of Object.entries(description as object)) {
    settings[name] = typeof value === 'string' ? value : JSON.stringify(value);
  }
  return settings;
}

function child(parent: unknown, name: string): unknown {
  if (typeof parent !== 'object' || parent === null) return undefined;
  const found = (parent as Record<string, unknown>)[name];
  return name === 'QueueDescription' && found === '' ? {} : found;
}

/** A queue as an entry. */
export function queueEntry(queue: Queue, baseUrl: string): string {
  const { name, description, createdAtMs, updatedAtMs } = queue.stored;
  const { active, deadLetter, scheduled, sizeBytes } = queue.counts();
  const updatedAt = new Date(updatedAtMs).toISOString();
  const counts = [
    ['ActiveMessageCount', active],
    ['DeadLetterMessageCount', deadLetter],
    ['ScheduledMessageCount', scheduled],
    ['TransferMessageCount', 0],
    ['TransferDeadLetterMessageCount', 0],
  ] as const;
  const { UserMetadata: userMetadata, ...settings } = description;
  const properties: Record<string, unknown> = {
    ...settings,
    ...(userMetadata === '' ? {} : { UserMetadata: userMetadata }),
    RequiresSession: false,
    SizeInBytes: sizeBytes,
    MessageCount: active + deadLetter + scheduled,
    IsAnonymousAccessible: false,
    AuthorizationRules: '',
    Status: 'Active',
    CreatedAt: new Date(createdAtMs).toISOString(),
    UpdatedAt: updatedAt,
    AccessedAt: updatedAt,
    SupportOrdering: true,
    AutoDeleteOnIdle: NEVER,
    EnablePartitioning: false,
    EntityAvailabilityStatus: 'Available',
    EnableExpress: false,
    MaxMessageSizeInKilobytes: 256,
  };
  const content = [
    ...Object.entries(properties).map(([key, value]) => element(key, String(value))),
    `<CountDetails xmlns:d2p1="${COUNTS}">${counts.map(([key, value]) => element(`d2p1:${key}`, String(value))).join('')}</CountDetails>`,
  ].join('');
  return entry(`${baseUrl}/${name}`, name, updatedAt, described('QueueDescription', content));
}

/** Entries as a feed, with the link to the next page if there is one. */
export function feed(url: string, entries: string[], nextUrl: string | undefined): string {
  const next = nextUrl === undefined ? '' : `<link rel="next" href="${escape(nextUrl)}"/>`;
  const head = `<title type="text">Queues</title><id>${escape(url)}</id><link rel="self" href="${escape(url)}"/>${next}`;
  return `<feed xmlns="${ATOM}">${head}${entries.join('')}</feed>`;
}

/** The namespace's own facts. */
export function namespaceEntry(baseUrl: string, startedAtMs: number): string {
  const startedAt = new Date(startedAtMs).toISOString();
  const content = [
    element('CreatedTime', startedAt),
    element('MessagingSKU', 'Standard'),
    element('ModifiedTime', startedAt),
    element('Name', 'localhost'),
    element('NamespaceType', 'Messaging'),
  ].join('');
  return entry(`${baseUrl}/$namespaceinfo`, 'localhost', startedAt, described('NamespaceInfo', content));
}

export function errorDocument(status: number, detail: string): string {
  return `<Error>${element('Code', String(status))}${element('Detail', detail)}</Error>`;
}

function entry(id: string, title: string, updatedAt: string, content: string): string {
  return [
    `<entry xmlns="${ATOM}">${element('id', id)}<title type="text">${escape(title)}</title>`,
    `${element('updated', updatedAt)}<link rel="self" href="${escape(id)}"/>`,
    `<content type="application/xml">${content}</content></entry>`,
  ].join('');
}

function described(name: string, content: string): string {
  return `<${name} xmlns="${SERVICE_BUS}" xmlns:i="${XSI}">${content}</${name}>`;
}

function element(name: string, text: string): string {
  return `<${name}>${escape(text)}</${name}>`;
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
