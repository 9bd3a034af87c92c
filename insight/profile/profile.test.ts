import { expect, test } from 'vitest';
import { profile, sample } from '../fixtures/profiles.ts';
import { compareProfiles, ProfilesDifferError } from './compare.ts';
import { flameData } from './flame-data.ts';
import { flamePage } from './flame-page.ts';
import { totalsOf } from './totals.ts';

const ORDERS = { span: 'POST /orders' };
const STEP = { span: 'step redeem-card', step: 'redeem-card' };
const CALL = { span: 'POST /cards', step: 'redeem-card' };

const before = profile(
  [sample(['parse'], 30, ORDERS), sample(['redeem'], 20, STEP), sample(['redeem', 'parse'], 50, CALL)],
  [
    { ...ORDERS, ended: 100 },
    { ...STEP, ended: 80 },
    { ...CALL, ended: 200 },
  ],
);
/** Three times the load, and a step that takes twice as much. */
const after = profile(
  [sample(['parse'], 90, ORDERS), sample(['redeem'], 270, STEP), sample(['redeem', 'parse'], 150, CALL)],
  [
    { ...ORDERS, ended: 300 },
    { ...STEP, ended: 240 },
    { ...CALL, ended: 600 },
  ],
);
const MS = 1_000_000;

test('functions have what they took themselves, and with what they called', () => {
  expect(totalsOf(before, 'function')).toEqual([
    { name: 'parse a.ts', self: 80 * MS, total: 80 * MS, ended: undefined },
    { name: 'redeem a.ts', self: 20 * MS, total: 70 * MS, ended: undefined },
    { name: 'main main.ts', self: 0, total: 100 * MS, ended: undefined },
  ]);
});

test('what calls itself is counted once', () => {
  const [recursive] = totalsOf(profile([sample(['walk', 'walk', 'walk'], 10)]), 'function');
  expect(recursive).toMatchObject({ name: 'walk a.ts', self: 10 * MS, total: 10 * MS });
});

test('a step counts its attempts, and not the calls in them', () => {
  expect(totalsOf(before, 'step')).toEqual([
    { name: 'redeem-card', self: 70 * MS, total: 70 * MS, ended: 80 },
    { name: '(none)', self: 30 * MS, total: 30 * MS, ended: undefined },
  ]);
});

test('under another load the shares change, and each one takes what it took', () => {
  const bySpan = compareProfiles(before, after, { by: 'span' });
  expect(bySpan.map(({ name }) => name)).toEqual(['step redeem-card', 'POST /cards', 'POST /orders']);
  const ratios = Object.fromEntries(bySpan.map(({ name, perUnitRatio }) => [name, perUnitRatio]));
  expect(ratios).toEqual({ 'step redeem-card': 4.5, 'POST /cards': 1, 'POST /orders': 1 });
  expect(bySpan[0]?.shareChange).toBeCloseTo(270 / 510 - 0.2);
  expect(bySpan[1]?.shareChange).toBeCloseTo(150 / 510 - 0.5);
});

test('functions compare by order, whatever the load', () => {
  const changes = compareProfiles(before, after, { by: 'function', per: 'POST /orders' });
  const ratios = Object.fromEntries(changes.map(({ name, perUnitRatio }) => [name, perUnitRatio]));
  expect(ratios).toEqual({ 'parse a.ts': 1, 'redeem a.ts': 4.5, 'main main.ts': undefined });
});

test('what is only on one side is a change too', () => {
  const gone = compareProfiles(before, profile([sample(['new'], 10)]), { by: 'function' });
  const shares = Object.fromEntries(gone.map(({ name, shareChange }) => [name, shareChange]));
  expect(shares).toMatchObject({ 'new a.ts': 1, 'parse a.ts': -0.8, 'redeem a.ts': -0.2 });
});

test('profiles that measure different things do not compare, nor by a span that there is not', () => {
  const heap = { ...after, valueTypes: [{ type: 'inuse_space', unit: 'bytes' }] };
  expect(() => compareProfiles(before, heap, { by: 'span' })).toThrow(
    new ProfilesDifferError('the first profile measures cpu in nanoseconds, the second inuse_space in bytes'),
  );
  expect(() => compareProfiles(before, after, { by: 'span', per: 'GET /' })).toThrow(
    'no span "GET /" ended in one of the profiles; there are POST /cards, POST /orders, step redeem-card',
  );
});

test('a flame graph has the calls of each span, and those of a comparison are shares', () => {
  const data = flameData('one', before);
  const drawn = data.trees.map(({ span, root: [, value] }) => [span, value / MS]);
  expect(drawn).toEqual([
    ['POST /orders', 30],
    ['step redeem-card', 20],
    ['POST /cards', 50],
  ]);
  const [, , call] = data.trees;
  const [main] = call?.root[3] ?? [];
  const names = [main?.[0], main?.[3][0]?.[0], main?.[3][0]?.[3][0]?.[0]].map(
    (name) => data.names[name ?? -1],
  );
  expect(names).toEqual(['main', 'redeem', 'parse']);
  const diff = flameData('two', after, before);
  expect(diff.trees.map(({ root: [, now, then] }) => [now, then])).toEqual([
    [1_764_706, 3_000_000],
    [5_294_118, 2_000_000],
    [2_941_176, 5_000_000],
  ]);
});

test('a name cannot become markup of the page', () => {
  const nasty = '</script><script>alert(1)</script>';
  const page = flamePage(flameData(nasty, profile([sample([nasty], 1, { span: nasty })])));
  expect(page.match(/<script/g)).toHaveLength(2);
  expect(page).toContain('<title>&lt;/script&gt;');
});
