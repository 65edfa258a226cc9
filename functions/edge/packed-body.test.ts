import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { packedBody } from './packed-body.ts';

const long = JSON.stringify(Array.from({ length: 5_000 }, (_, number) => ({ name: `wéb-${number}` })));

describe('a large answer', () => {
  it.each([
    ['gzip, deflate', 'gzip'],
    ['br, gzip, deflate', 'br'],
    ['GZIP;q=0.5', 'gzip'],
    ['br;q=0, gzip', 'gzip'],
  ])('is packed for a caller who takes %s', async (accepted, coding) => {
    const { body, headers } = await packedBody(long, accepted);
    expect(headers).toEqual({ vary: 'accept-encoding', 'content-encoding': coding });
    const unpack = coding === 'br' ? brotliDecompressSync : gunzipSync;
    expect(unpack(body).toString('utf8')).toBe(long);
    expect(body.length).toBeLessThan(long.length / 4);
  });

  it.each([null, '', 'identity', 'gzip;q=0', 'gzip;q=0.000, br;q=0.0', 'compress'])(
    'goes as it is to a caller who says %j',
    async (accepted) => {
      expect(await packedBody(long, accepted)).toEqual({
        body: long,
        headers: { vary: 'accept-encoding' },
      });
    },
  );
});

it('a small answer is not packed', async () => {
  expect(await packedBody('{}', 'gzip')).toEqual({ body: '{}', headers: {} });
});
