import { expect, test } from 'vitest';
import { withoutValues } from './quoted-values.ts';

const sent = {
  cardCode: 'CARD-7/7',
  email: 'ada@example.com',
  orderKey: 'O-1042',
  currency: 'EUR',
  amountMinor: 680,
  x: 'a',
};

test('what was sent is named by its field, as it is, in a URL and in base64', () => {
  const code = sent.cardCode;
  expect(withoutValues(`no card ${code}, ${encodeURIComponent(code)}, ${btoa(code)}`, sent)).toMatch(
    /^no card \[cardCode\], \[cardCode\], \[cardCode\]=*$/,
  );
});

test('the order key, short words and what is no text may be quoted', () => {
  const text = 'order O-1042: a sum of 680 EUR is too much';
  expect(withoutValues(text, sent)).toBe(text);
});
