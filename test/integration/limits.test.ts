import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestPlatform, startTestPlatform } from './platform.ts';

describe('a caller who asks for more than its share', () => {
  let platform: TestPlatform;

  beforeAll(async () => {
    platform = await startTestPlatform({ CALLER_REQUESTS_PER_SECOND: '1' });
  });

  afterAll(async () => {
    await platform.close();
  });

  it('is told when to come back, while others are served', async () => {
    const path = '/providers/Microsoft.RecoveryServices/operations';
    const answers = await Promise.all(
      Array.from({ length: 30 }, () => platform.request('GET', path, { role: 'reader' })),
    );
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]).toMatchObject({ body: { error: { code: 'TooManyRequests' } } });
    expect(refused[0]?.headers.get('retry-after')).toBe('1');
    expect(await platform.request('GET', path, { role: 'operator' })).toMatchObject({ status: 200 });
  });

  it('gets through in the end by the official client, which waits as it is told', async () => {
    const { vaults } = platform.vaults();
    const made = await Promise.all(
      ['Alpha', 'Beta'].map((name) =>
        vaults.createOrUpdate(platform.resourceGroup, name, { location: 'eastus' }),
      ),
    );
    expect(made.map(({ name }) => name)).toEqual(['Alpha', 'Beta']);
  });
});
