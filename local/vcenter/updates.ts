/** WaitForUpdatesEx: what changed in the inventory file since a client last asked. */
import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { XmlElement } from '../../shared/xml.ts';
import type { Inventory } from './inventory.ts';
import { objectsOf, type VCenterObject } from './objects.ts';
import { pathsFor, readPaths, viewTypes } from './property-collector.ts';
import type { Filter, Session } from './sessions.ts';
import { leaf, reference, SoapFault } from './soap.ts';

const pollMs = 100;
const maxFilters = 100;
const defaultWaitSeconds = 30 * 60;

/** What the call is answered from. */
export interface UpdatesContext {
  session: Session;
  /** The inventory as the file has it at the moment. */
  current: () => Promise<Inventory>;
  /** The client went away. */
  signal: AbortSignal;
}

/** Answers CreateFilter over one container view. @throws SoapFault */
export function createFilter(parameters: XmlElement, session: Session): string {
  const specification = parameters.child('spec');
  if (session.filters.size >= maxFilters) throw new SoapFault('LimitExceeded', 'Too many filters are open.');
  const types = viewTypes(specification?.child('objectSet')?.childText('obj') ?? '', session);
  const id = `session[${session.id}]${randomUUID()}`;
  session.filters.set(id, { types, paths: readPaths(specification), seen: new Map(), waiting: [] });
  return reference('returnval', 'PropertyFilter', id);
}

/** Answers WaitForUpdatesEx: at once when something changed, else when something does or the time is up. @throws SoapFault */
export async function waitForUpdates(parameters: XmlElement, context: UpdatesContext): Promise<string> {
  const { session, signal } = context;
  const isFirst = parameters.childText('version') === '';
  if (isFirst) for (const filter of session.filters.values()) filter.seen.clear();
  else if (parameters.childText('version') !== String(session.updatesVersion)) {
    throw new SoapFault('InvalidCollectorVersion', 'The version is not the last one given.');
  }
  const { seconds, most } = readOptions(parameters.child('options'));
  const end = performance.now() + seconds * 1_000;
  for (;;) {
    const isChanged = await compareAll(context);
    if (isChanged || isFirst) return updateSet(session, most);
    if (performance.now() >= end || signal.aborted) return '';
    await wait(pollMs, undefined, { signal }).catch(() => undefined); // the client went away: nobody reads the answer
  }
}

function readOptions(options: XmlElement | undefined): { seconds: number; most: number } {
  const number = (name: string): number | undefined => {
    const text = options?.child(name)?.text;
    return text === undefined ? undefined : Number(text);
  };
  return {
    seconds: number('maxWaitSeconds') ?? defaultWaitSeconds,
    most: number('maxObjectUpdates') ?? Number.MAX_SAFE_INTEGER,
  };
}

/** Whether there is something to tell. */
async function compareAll({ session, current }: UpdatesContext): Promise<boolean> {
  const inventory = await current();
  const filters = [...session.filters.values()];
  for (const filter of filters) compare(filter, objectsOf(inventory, filter.types, session.user));
  return filters.some(({ waiting }) => waiting.length > 0);
}

function updateSet(session: Session, most: number): string {
  session.updatesVersion += 1;
  let left = most;
  const sets = [...session.filters].map(([id, filter]) => {
    const updates = filter.waiting.splice(0, left);
    left -= updates.length;
    return `<filterSet>${reference('filter', 'PropertyFilter', id)}${updates.join('')}</filterSet>`;
  });
  const isTruncated = [...session.filters.values()].some(({ waiting }) => waiting.length > 0);
  return `<returnval>${leaf('version', session.updatesVersion)}${sets.join('')}\
${isTruncated ? leaf('truncated', true) : ''}</returnval>`;
}

/** Puts what differs from what the client was told into the filter's row. */
function compare(filter: Filter, objects: readonly VCenterObject[]): void {
  const present = new Set<string>();
  for (const object of objects) {
    const { type, moref } = object;
    present.add(moref);
    const values = new Map(pathsFor(object, filter.paths).map((path) => [path, valueOf(object, path)]));
    const before = filter.seen.get(moref);
    const changed = [...values].filter(
      ([path, value]) => before === undefined || before.values.get(path) !== value,
    );
    if (before !== undefined && changed.length === 0) continue;
    filter.seen.set(moref, { type, values });
    filter.waiting.push(update(before === undefined ? 'enter' : 'modify', { type, moref }, changed));
  }
  for (const [moref, { type }] of filter.seen) {
    if (present.has(moref)) continue;
    filter.seen.delete(moref);
    filter.waiting.push(update('leave', { type, moref }, []));
  }
}

function valueOf(object: VCenterObject, path: string): string | undefined {
  return object.denied && path !== 'name' ? undefined : object.property(path);
}

function update(
  kind: 'enter' | 'modify' | 'leave',
  { type, moref }: { type: string; moref: string },
  changed: [path: string, value: string | undefined][],
): string {
  const changes = changed.map(
    ([path, value]) => `<changeSet>${leaf('name', path)}${leaf('op', 'assign')}${value ?? ''}</changeSet>`,
  );
  return `<objectSet>${leaf('kind', kind)}${reference('obj', type, moref)}${changes.join('')}</objectSet>`;
}
