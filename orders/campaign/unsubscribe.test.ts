import { expect, test } from 'vitest';
import { createUnsubscribeLinks } from './unsubscribe.ts';

const links = createUnsubscribeLinks({
  secret: 'a secret that only this shop has',
  publicUrl: 'https://shop.example/',
});
const ada = { campaign: 'autumn-terms', channel: 'email', address: 'ada@example.com' };
const tokenOf = (url: string) => new URL(url).searchParams.get('token') ?? '';

test('a link names its recipient to us, to nobody else, and is the same each time', () => {
  const url = links.urlOf(ada);
  expect(url).toMatch(/^https:\/\/shop\.example\/unsubscribe\?token=[\w-]+$/);
  expect(Buffer.from(tokenOf(url), 'base64url').toString('latin1')).not.toContain('ada');
  expect(links.open(tokenOf(url))).toEqual(ada);
  expect(links.urlOf(ada)).toBe(url);
  expect(links.urlOf({ ...ada, campaign: 'other' })).not.toBe(url);
});

test('what a stranger made, cut or changed is worth nothing', () => {
  const token = tokenOf(links.urlOf(ada));
  const stranger = createUnsubscribeLinks({ secret: 'another secret', publicUrl: 'https://shop.example' });
  expect(links.open(tokenOf(stranger.urlOf(ada)))).toBeUndefined();
  expect(links.open(token.slice(0, -4))).toBeUndefined();
  for (const at of [0, 20, 40, token.length - 3]) {
    const other = token[at] === 'A' ? 'B' : 'A';
    expect(links.open(token.slice(0, at) + other + token.slice(at + 1))).toBeUndefined();
  }
  for (const nonsense of ['', 'x', '%%%', 'A'.repeat(500)]) expect(links.open(nonsense)).toBeUndefined();
});
