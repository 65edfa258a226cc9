import { DomainError } from '../fault.ts';
import { type RowRange } from './row-key.ts';
import { type RowWrite, type Table, mostWritesAtOnce } from './table.ts';

/**
 * Deletes every row of a range, a hundred at a time. Rows that somebody else deletes meanwhile are as good as deleted.
 * `isWanted` picks among them, by key.
 */
export async function deleteRows(
  table: Table,
  range: RowRange,
  isWanted: (rowKey: string) => boolean = () => true,
): Promise<number> {
  const { partition } = range;
  let deleted = 0;
  let continuation: string | undefined;
  do {
    const page = await table.page(range, { most: mostWritesAtOnce, continuation });
    const keys = page.entities.map(({ rowKey }) => rowKey).filter((rowKey) => isWanted(rowKey));
    await deleteAtOnce(
      table,
      keys.map((row) => ({ partition, row })),
    );
    deleted += keys.length;
    continuation = page.continuation;
  } while (continuation !== undefined);
  return deleted;
}

async function deleteAtOnce(table: Table, keys: { partition: string; row: string }[]): Promise<void> {
  try {
    await table.transact(keys.map((key): RowWrite => ({ do: 'delete', key })));
  } catch (error) {
    // A transaction fails as a whole when one of its rows is gone.
    if (!(error instanceof DomainError || (error instanceof Error && 'statusCode' in error))) throw error;
    for (const key of keys) await table.delete(key);
  }
}
