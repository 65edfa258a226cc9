/**
 * What is wrong with a blob of the log.
 *
 * - `Missing`: the chain names it and the store does not have it.
 * - `Truncated`: shorter than the chain says.
 * - `Altered`: its bytes are not those that were written, or they were sealed with another key.
 * - `WrongItem`: a blob of another protected item.
 * - `WrongSequence`: a blob of this item under another blob's name (swapped or copied).
 * - `Replaced`: authentic, but not the one the chain names: an older or a forked version.
 * - `Malformed`: authentic or not, it holds values the format does not allow.
 */
export type DefectKind =
  | 'Missing'
  | 'Truncated'
  | 'Altered'
  | 'WrongItem'
  | 'WrongSequence'
  | 'Replaced'
  | 'Malformed';

/** One thing wrong with one blob. */
export interface Defect {
  kind: DefectKind;
  /** The blob's name in the item's container. */
  blob: string;
  /** A sentence: what was expected and what was found. */
  detail: string;
  /** The first point that needs this blob; undefined where no point is known to. */
  firstPoint?: number;
}

/** A defect met by a reader. Restores add the nearest point that does not need the blob. */
export class ReplicaError extends Error {
  override readonly name = 'ReplicaError';
  readonly defect: Defect;
  /** Undefined: nobody looked. Null: there is none. */
  readonly nearestGoodPoint: number | null | undefined;

  constructor(defect: Defect, nearestGoodPoint?: number | null, options?: ErrorOptions) {
    super(sentence(defect, nearestGoodPoint), options);
    this.defect = defect;
    this.nearestGoodPoint = nearestGoodPoint;
  }
}

/** Throws a ReplicaError for one blob. */
export function refuse(kind: DefectKind, blob: string, detail: string): never {
  throw new ReplicaError({ kind, blob, detail });
}

function sentence(defect: Defect, nearest: number | null | undefined): string {
  const found = `${defect.blob} is ${word(defect.kind)}: ${defect.detail}.`;
  if (nearest === undefined) return found;
  if (nearest === null) return `${found} No point of this log does without it.`;
  return `${found} The nearest point that does not need it is ${nearest}.`;
}

function word(kind: DefectKind): string {
  const words = {
    Missing: 'missing',
    Truncated: 'truncated',
    Altered: 'altered',
    WrongItem: "another item's",
    WrongSequence: 'in the wrong place',
    Replaced: 'not the one the chain names',
    Malformed: 'malformed',
  } satisfies Record<DefectKind, string>;
  return words[kind];
}
