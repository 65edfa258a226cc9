/**
 * Holds: who restores a point, or drills with it, holds it meanwhile. A hold and the dropping of the point are writes of
 * one row under its ETag, so that one of them sees the other. A hold that was forgotten ends by itself.
 */
import { DomainError } from '../fault.ts';
import { type Table } from '../store/table.ts';
import { type PointsOf, changeHolds, getPoint } from './recovery-point-store.ts';
import { type PointHold, type RecoveryPoint } from './recovery-point.ts';

/** Holds of one point at a time. */
const mostHolds = 20;

/**
 * Holds a point until a moment; the same hold again changes its end.
 * @throws ResourceNotFound when the point is gone, Conflict when too many hold it.
 */
export async function holdPoint(
  table: Table,
  item: PointsOf,
  name: string,
  { hold, nowMs }: { hold: PointHold; nowMs: number },
): Promise<RecoveryPoint> {
  const { sequence } = await getPoint(table, item, name);
  return changeHolds(table, item, sequence, (holds) => {
    const others = holdsAt({ holds: [...holds] }, nowMs).filter(({ holdId }) => holdId !== hold.holdId);
    if (others.length >= mostHolds) throw tooMany(name);
    return [...others, hold];
  });
}

/** Ends a hold. One that is not there, or whose point is gone, is as good as ended. */
export async function releasePoint(
  table: Table,
  item: PointsOf,
  name: string,
  holdId: string,
): Promise<void> {
  try {
    const { sequence } = await getPoint(table, item, name);
    await changeHolds(table, item, sequence, (holds) => holds.filter((hold) => hold.holdId !== holdId));
  } catch (error) {
    if (!(error instanceof DomainError && error.fault.code === 'ResourceNotFound')) throw error;
  }
}

/** The holds that are in force. */
export function holdsAt({ holds }: Pick<RecoveryPoint, 'holds'>, nowMs: number): PointHold[] {
  return (holds ?? []).filter(({ untilMs }) => untilMs > nowMs);
}

function tooMany(name: string): DomainError {
  return new DomainError({
    code: 'Conflict',
    message: `The recovery point '${name.slice(0, 100)}' is held ${mostHolds} times already.`,
    recommendedAction: 'Release holds that nobody needs any more, or wait until they end.',
  });
}
