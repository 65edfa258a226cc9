import { describe, expect, it } from 'vitest';
import { checkConditions } from './conditions.ts';

const etag = `W/"datetime'2026-11-22T10%3A00%3A00Z'"`;

describe('conditions of a request', () => {
  it.each([
    ['none, of what is there', {}, etag],
    ['none, of what is not there', {}, undefined],
    ['If-Match with its etag', { ifMatch: etag }, etag],
    ['If-Match with its etag without the mark of a weak one', { ifMatch: etag.slice(2) }, etag],
    ['If-Match with a list that has its etag', { ifMatch: `"other", ${etag}` }, etag],
    ['If-Match *, of what is there', { ifMatch: '*' }, etag],
    ['If-None-Match *, of what is not there', { ifNoneMatch: '*' }, undefined],
    ['If-None-Match with another etag', { ifNoneMatch: '"other"' }, etag],
  ])('hold: %s', (_, conditions, current) => {
    expect(() => {
      checkConditions(conditions, current);
    }).not.toThrow();
  });

  it.each([
    ['If-Match with another etag', { ifMatch: '"other"' }, etag],
    ['If-Match *, of what is not there', { ifMatch: '*' }, undefined],
    ['If-None-Match *, of what is there', { ifNoneMatch: '*' }, etag],
    ['If-None-Match with its etag', { ifNoneMatch: etag }, etag],
  ])('fail: %s', (_, conditions, current) => {
    expect(() => {
      checkConditions(conditions, current);
    }).toThrow(/If-/u);
  });
});
