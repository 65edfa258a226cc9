import { describe, expect, it } from 'vitest';
import { eventName, reverseTicks, type VaultEvent } from './event.ts';

const event: VaultEvent = {
  eventId: 'ebbec25c-3731-4f47-81d3-35c69f8d2727',
  atMs: Date.parse('2021-04-06T17:43:47.944Z'),
  code: 'SRSVMHealthChanged',
  type: 'VmHealth',
  severity: 'Critical',
  description: '',
  affected: { id: 'x', name: 'web' },
  healthErrors: [],
};

describe('an event', () => {
  it('is named as the real service names it: ticks from 1601, counted back from the end', () => {
    expect(eventName(event)).toBe(
      'VmMonitoringEvent;9090749990575335807_ebbec25c-3731-4f47-81d3-35c69f8d2727',
    );
  });

  it('sorts before all that happened earlier', () => {
    expect(reverseTicks(event.atMs + 1) < reverseTicks(event.atMs)).toBe(true);
    expect(reverseTicks(Date.now())).toHaveLength(19);
  });
});
