import { describe, expect, test } from 'vitest';
import { type CronRule, cronProblems, nextTick } from './cron.ts';

const BERLIN = 'Europe/Berlin';

/** The ticks after a moment, without seconds. */
function ticks(cron: string, timeZone: string, after: string, count: number): string[] {
  const found: string[] = [];
  let at = new Date(after);
  for (let number = 0; number < count; number++) {
    const next = nextTick({ cron, timeZone }, at);
    if (!next) break;
    found.push(next.toISOString().replace(':00.000Z', 'Z'));
    at = next;
  }
  return found;
}

describe('the next tick', () => {
  test('is read in the time zone', () => {
    expect(ticks('0 9 * * 1-5', 'Asia/Tokyo', '2026-01-02T12:00:00Z', 2)).toEqual([
      '2026-01-05T00:00Z',
      '2026-01-06T00:00Z',
    ]);
    expect(ticks('0 0 L * *', 'America/New_York', '2026-01-01T00:00:00Z', 2)).toEqual([
      '2026-01-31T05:00Z',
      '2026-02-28T05:00Z',
    ]);
  });

  test('is later than the moment, also when that is a tick itself', () => {
    expect(ticks('0 * * * *', 'UTC', '2026-01-01T10:00:00Z', 1)).toEqual(['2026-01-01T11:00Z']);
    expect(ticks('0 * * * *', 'UTC', '2026-01-01T09:59:59.999Z', 1)).toEqual(['2026-01-01T10:00Z']);
  });

  test('with six fields counts seconds', () => {
    const rule = { cron: '*/10 * * * * *', timeZone: 'UTC' };
    expect(nextTick(rule, new Date('2026-01-01T00:00:01Z'))?.toISOString()).toBe('2026-01-01T00:00:10.000Z');
  });

  test('of a time of day that the clocks leave out is the end of the gap', () => {
    // On 29 March 2026 2:00 is followed by 3:00.
    expect(ticks('30 2 * * *', BERLIN, '2026-03-28T00:00:00Z', 3)).toEqual([
      '2026-03-28T01:30Z',
      '2026-03-29T01:00Z',
      '2026-03-30T00:30Z',
    ]);
  });

  test('of a pattern goes on through the gap, and comes no oftener for it', () => {
    expect(ticks('*/30 * * * *', BERLIN, '2026-03-29T00:20:00Z', 3)).toEqual([
      '2026-03-29T00:30Z',
      '2026-03-29T01:00Z',
      '2026-03-29T01:30Z',
    ]);
  });

  test('of a time of day that comes twice is its first occurrence alone, whenever one asks', () => {
    // On 25 October 2026 3:00 is followed by 2:00.
    expect(ticks('30 2 * * *', BERLIN, '2026-10-24T12:00:00Z', 2)).toEqual([
      '2026-10-25T00:30Z',
      '2026-10-26T01:30Z',
    ]);
    expect(ticks('30 2 * * *', BERLIN, '2026-10-25T01:15:00Z', 1)).toEqual(['2026-10-26T01:30Z']);
  });

  test('of a pattern comes both times', () => {
    expect(ticks('0 * * * *', BERLIN, '2026-10-24T23:50:00Z', 3)).toEqual([
      '2026-10-25T00:00Z',
      '2026-10-25T01:00Z',
      '2026-10-25T02:00Z',
    ]);
  });
});

describe('a rule that makes no sense', () => {
  test.each<[CronRule, RegExp]>([
    [{ cron: 'often', timeZone: 'UTC' }, /^cron: .*five or six/],
    [{ cron: '', timeZone: 'UTC' }, /^cron: /],
    [{ cron: '* * * *', timeZone: 'UTC' }, /^cron: /],
    [{ cron: '61 * * * *', timeZone: 'UTC' }, /^cron: Invalid value for minute: 61$/],
    [{ cron: '* * * * 8', timeZone: 'UTC' }, /^cron: /],
    [{ cron: '@sometimes', timeZone: 'UTC' }, /^cron: /],
    [{ cron: '2026-01-01T00:00:00', timeZone: 'UTC' }, /^cron: .*five or six/],
    [{ cron: '0 0 1 1 * * 2030', timeZone: 'UTC' }, /^cron: .*7 parts/],
    [{ cron: '0 0 30 2 *', timeZone: 'UTC' }, /^cron: .*never does$/],
    [{ cron: '0 0 * * *', timeZone: 'Mars/Olympus' }, /^timeZone: .*got "Mars\/Olympus"$/],
    [{ cron: '0 0 * * *', timeZone: '' }, /^timeZone: /],
  ])('%j is refused', (rule, problem) => {
    const problems = cronProblems(rule);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(problem);
  });

  test('is told with everything that is wrong', () => {
    expect(cronProblems({ cron: 'x', timeZone: 'y' })).toHaveLength(2);
    expect(cronProblems({ cron: '@daily', timeZone: 'Europe/Berlin' })).toEqual([]);
  });
});
