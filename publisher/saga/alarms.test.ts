import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createAlarms } from './alarms.ts';

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
});
afterEach(() => {
  vi.useRealTimers();
});

test('wakes at the end of a short wait, once', () => {
  const woken: string[] = [];
  const alarms = createAlarms((id) => woken.push(id));
  alarms.set('a', 2_000);
  alarms.set('a', 1_000);
  vi.advanceTimersByTime(999);
  expect(woken).toEqual([]);
  vi.advanceTimersByTime(5_000);
  expect(woken).toEqual(['a']);
});

test('leaves a long wait to polling, and holds nothing for it', () => {
  createAlarms(() => {}).set('a', 60_000);
  expect(vi.getTimerCount()).toBe(0);
});

test('wakes nobody who was taken meanwhile, and nobody at all once all are cleared', () => {
  const woken: string[] = [];
  const alarms = createAlarms((id) => woken.push(id));
  for (const id of ['a', 'b', 'c']) alarms.set(id, 1_000);
  alarms.clear('a');
  expect(vi.getTimerCount()).toBe(2);
  alarms.clearAll();
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(5_000);
  expect(woken).toEqual([]);
});
