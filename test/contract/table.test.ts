import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Storage, startStorage } from '../../local/storage/storage.ts';
import { type RowKey, rowKey, rowsBelow } from '../../shared/store/row-key.ts';
import { Rows } from '../../shared/store/rows.ts';
import { Table } from '../../shared/store/table.ts';

const Value = z.object({ text: z.string(), count: z.number() });

describe('Table Storage rows', () => {
  let folder: string;
  let storage: Storage;
  let table: Table;
  let rows: Rows<z.infer<typeof Value>>;
  let keys = 0;
  const freshKey = (): RowKey => rowKey('vault', 'things', `thing-${(keys += 1)}`);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'secondsite-table-'));
    storage = await startStorage({ dataFolder: folder });
    table = new Table(storage.connectionString, 'secondsite');
    rows = new Rows(table, Value);
  });

  afterAll(async () => {
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('finds what was inserted, and nothing where nothing is', async () => {
    const key = freshKey();
    expect(await rows.find(key)).toBeUndefined();
    const { etag } = await rows.insert(key, { text: 'grün', count: 1 });
    expect(await rows.find(key)).toEqual({ value: { text: 'grün', count: 1 }, etag });
  });

  it('names what was looked for in vain', async () => {
    await expect(rows.get(freshKey(), "The policy 'gold'")).rejects.toMatchObject({
      fault: { code: 'ResourceNotFound', message: "The policy 'gold' was not found." },
    });
  });

  it('refuses to insert over a row', async () => {
    const key = freshKey();
    await rows.insert(key, { text: 'a', count: 1 });
    await expect(rows.insert(key, { text: 'b', count: 2 })).rejects.toMatchObject({
      fault: { code: 'Conflict' },
    });
  });

  it('refuses to replace a row that somebody else changed', async () => {
    const key = freshKey();
    const { etag } = await rows.insert(key, { text: 'a', count: 1 });
    const second = await rows.replace(key, { text: 'b', count: 2 }, etag);
    await expect(rows.replace(key, { text: 'c', count: 3 }, etag)).rejects.toMatchObject({
      fault: { code: 'PreconditionFailed' },
    });
    expect((await rows.find(key))?.etag).toBe(second.etag);
  });

  it('holds values longer than one property, and forgets the tail when they shrink', async () => {
    const key = freshKey();
    const long = '€'.repeat(50_000);
    await rows.upsert(key, { text: long, count: 1 });
    expect((await rows.get(key, 'it')).value.text).toBe(long);
    await rows.upsert(key, { text: 'short', count: 2 });
    expect((await rows.get(key, 'it')).value).toEqual({ text: 'short', count: 2 });
  });

  it('deletes twice without complaint', async () => {
    const key = freshKey();
    await rows.insert(key, { text: 'a', count: 1 });
    await rows.delete(key);
    await rows.delete(key);
    expect(await rows.find(key)).toBeUndefined();
  });

  it('loses no update of many at once', async () => {
    const key = freshKey();
    const add = (): Promise<unknown> =>
      rows.update(key, (value) => ({ text: 'sum', count: (value?.count ?? 0) + 1 }));
    await Promise.all(Array.from({ length: 8 }, add));
    expect((await rows.get(key, 'it')).value.count).toBe(8);
  });

  it('lists what is below a parent, in order, page by page, and nothing beside it', async () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    for (const name of names) {
      await rows.insert(rowKey('list', 'items', 'parent', name), { text: name, count: 0 });
    }
    await rows.insert(rowKey('list', 'items', 'parent2', 'x'), { text: 'x', count: 0 });
    await rows.insert(rowKey('list', 'items', 'parent'), { text: 'the parent itself', count: 0 });
    const first = await rows.page(rowsBelow('list', 'items', 'parent'), { most: 3 });
    expect(first.rows.map(({ value }) => value.text)).toEqual(['a', 'b', 'c']);
    const rest = await rows.page(rowsBelow('list', 'items', 'parent'), {
      most: 3,
      continuation: first.continuation,
    });
    expect(rest.rows.map(({ value }) => value.text)).toEqual(['d', 'e']);
    expect(await rows.all(rowsBelow('list', 'items'))).toHaveLength(7);
  });

  it('writes all of a transaction or nothing', async () => {
    const [kept, made] = [freshKey(), freshKey()];
    const { etag } = await rows.insert(kept, { text: 'a', count: 1 });
    await rows.replace(kept, { text: 'b', count: 2 }, etag);
    await expect(
      table.transact([
        { do: 'insert', key: made, value: { text: 'new', count: 1 } },
        { do: 'replace', key: kept, value: { text: 'c', count: 3 }, etag },
      ]),
    ).rejects.toMatchObject({ fault: { code: 'PreconditionFailed' } });
    expect(await rows.find(made)).toBeUndefined();
  });

  it('takes any name as a key: slashes, emoji, quotes, a thousand characters', async () => {
    const names = ['a/b\\c?d#e', "it's", '😀'.repeat(40), 'x'.repeat(1_000), '\u0007 \u009f%2F', '~2f', '!"'];
    for (const [count, name] of names.entries()) {
      await rows.insert(rowKey('names', 'odd', name), { text: name, count });
    }
    for (const [count, name] of names.entries()) {
      expect((await rows.get(rowKey('names', 'odd', name), name)).value.count).toBe(count);
    }
    expect(await rows.all(rowsBelow('names', 'odd'))).toHaveLength(names.length);
  });

  it('says that storage is unavailable when it is', async () => {
    const nowhere = storage.connectionString.replaceAll(/127\.0\.0\.1:\d+/gu, '127.0.0.1:1');
    await expect(new Rows(new Table(nowhere, 'secondsite'), Value).find(freshKey())).rejects.toMatchObject({
      fault: { code: 'Unavailable' },
    });
  });
});

describe('row keys', () => {
  it('differ for different names and agree for names that differ only in case', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (left, right) => {
        const same = left.toLowerCase().toWellFormed() === right.toLowerCase().toWellFormed();
        expect(rowKey('p', 'kind', left).row === rowKey('p', 'kind', right).row).toBe(same);
      }),
    );
  });

  it('hold only what Table Storage takes, and at most 512 characters', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 1_000 }), { maxLength: 3 }), (names) => {
        expect(rowKey('p', 'replicationprotecteditems', ...names).row).toMatch(/^[a-z0-9._~!-]{1,512}$/u);
      }),
    );
  });
});
