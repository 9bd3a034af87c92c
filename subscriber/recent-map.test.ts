import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RecentMap } from './recent-map.ts';

test('remembers at least the last keys that were set, with their latest values', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.tuple(fc.nat(12), fc.nat())), (size, sets) => {
      const map = new RecentMap<number, number>(size);
      const latest = new Map<number, number>();
      for (const [key, value] of sets) {
        map.set(key, value);
        latest.delete(key);
        latest.set(key, value);
        for (const [recent, wanted] of [...latest].slice(-size)) expect(map.get(recent)).toBe(wanted);
      }
    }),
  );
});

test('forgets what lies twice its size back', () => {
  const map = new RecentMap<number, string>(3);
  for (let key = 0; key < 10; key++) map.set(key, 'x');
  expect(map.get(0)).toBeUndefined();
  expect(map.get(3)).toBeUndefined();
});
