import { expect, test } from 'vitest';
import { type Candidate, toCandidate } from './audience.ts';
import type { SegmentRow } from './segment.ts';

const channel = {
  name: 'email',
  addressKey: (address: string) => (address.includes('@') ? address.toLowerCase() : undefined),
};
const template = { subject: '', body: 'Dear {{name}}' };
const row: SegmentRow = {
  key: 'c1',
  address: 'Ann@Example.com',
  timeZone: 'Europe/Berlin',
  fields: { name: 'Ann', plan: 'free' },
};
const made = (change: Partial<SegmentRow> = {}): Candidate =>
  toCandidate({ ...row, ...change }, template, channel, new Set(['Europe/Berlin']));

test('a recipient has what the template names, and nothing else', () => {
  expect(made()).toEqual({
    recipientId: 'c1',
    address: 'Ann@Example.com',
    addressKey: 'ann@example.com',
    fields: { name: 'Ann' },
    timeZone: 'Europe/Berlin',
    problem: undefined,
  });
});

test.each<[string, Partial<SegmentRow>, string]>([
  ['no address', { address: null }, 'address: expected an address of channel email'],
  ['an empty address', { address: '' }, 'address: expected an address of channel email'],
  ['one that is none', { address: 'ann' }, 'address: expected an address of channel email'],
  ['one with a NUL', { address: 'a\0@b' }, 'address: expected an address of channel email'],
  ['one without end', { address: `@${'a'.repeat(1_000)}` }, 'address: expected an address of channel email'],
  ['no name', { fields: {} }, 'name: the template names what this recipient has not'],
  ['null for a name', { fields: { name: null } }, 'name: the template names what this recipient has not'],
  ['a blank name', { fields: { name: ' \n' } }, 'name: the template names what this recipient has not'],
  ['a NUL in it', { fields: { name: 'A\0nn' } }, 'name: expected at most 10000 characters of text'],
  ['half a pair', { fields: { name: 'A\ud800' } }, 'name: expected at most 10000 characters of text'],
  ['a huge name', { fields: { name: 'A'.repeat(1e7) } }, 'name: expected at most 10000 characters of text'],
  ['no key', { key: '' }, 'key: expected 1 to 256 characters of text'],
  ['a key with a NUL', { key: 'a\0' }, 'key: expected 1 to 256 characters of text'],
  ['half a pair for a key', { key: '\udc00' }, 'key: expected 1 to 256 characters of text'],
  ['a key without end', { key: 'k'.repeat(257) }, 'key: expected 1 to 256 characters of text'],
])('%s: nothing is sent, and nothing of it is kept', (_what, change, problem) => {
  const candidate = made(change);
  expect(candidate).toMatchObject({ problem, address: '', fields: {} });
  expect(candidate.addressKey).toBe(`unreachable ${candidate.recipientId}`);
  expect(candidate.recipientId.length).toBeLessThanOrEqual(256);
  expect(candidate.recipientId).toMatch(/^[^\0]+$/);
});

test('two keys that are too long are two recipients', () => {
  const key = 'k'.repeat(300);
  expect(made({ key }).recipientId).not.toBe(made({ key: `${key}x` }).recipientId);
});

test.each([[null], ['Atlantis/Capital'], ['+02'], ['CEST']])(
  'a time zone %s that is none counts as unknown',
  (timeZone) => expect(made({ timeZone })).toMatchObject({ timeZone: null, problem: undefined }),
);
