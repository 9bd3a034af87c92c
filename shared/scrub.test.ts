import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createScrub, REDACTED, scrub } from './scrub.ts';

test.each([
  ['mail to ada@example.com failed', `mail to ${REDACTED} failed`],
  ['GET /orders/ada%40shop.example?x=1', `GET /orders/${REDACTED}?x=1`],
  ["<Ada.O'Neil+x@mail.shop.example>", `<${REDACTED}>`],
  ['jörg@müller.example.', `${REDACTED}.`],
  ['connect postgresql://user:p%40ss@db:5432/shop', `connect postgresql://${REDACTED}@db:5432/shop`],
  ['?x=1&access_token=abc.def&y=2', `?x=1&access_token=${REDACTED}&y=2`],
  ['token=abc', `token=${REDACTED}`],
  ['/3ds-return?state=MDFhMjE5.q3VhbGl0eQ_xyz-0123', `/3ds-return?state=${REDACTED}`],
  ['Authorization: Bearer abcdefgh12345', `Authorization: Bearer ${REDACTED}`],
  ['jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc', `jwt ${REDACTED}`],
  ['paid with 4111 1111 1111 1111 today', `paid with ${REDACTED} today`],
  ['paid with 4111111111111111.', `paid with ${REDACTED}.`],
  [
    'Unexpected token \'G\', "GIFT-77" is not valid JSON',
    `Unexpected token 'G', ${REDACTED} is not valid JSON`,
  ],
  [
    'invalid input syntax for type integer: "GIFT-77"',
    `invalid input syntax for type integer: "${REDACTED}"`,
  ],
  ['Key (email)=(x) already exists.', `Key (email)=(${REDACTED}) already exists.`],
  ['Failing row contains (1, GIFT-77 (new), null).', `Failing row contains (${REDACTED})`],
])('of "%s" it tells "%s"', (text, expected) => {
  expect(scrub(text)).toBe(expected);
  expect(scrub(expected), 'twice is as good as once').toBe(expected);
});

test.each([
  'connect ECONNREFUSED 127.0.0.1:5432',
  'at file:///app/node_modules/@opentelemetry/sdk-trace/index.js:1:2',
  'pino@10.4.0, code=ECONNRESET, exit code=1, state=stuck',
  'UPDATE saga SET owner = $1, state=$2 WHERE id = $3',
  'message 4111111111111112 of 1795728987548000000', // no card: the check digit, and how it begins
  '4111111111111111', // alone: the id of a message is as long
  'throughline: token expected',
])('leaves "%s" as it is', (text) => {
  expect(scrub(text)).toBe(text);
});

test("a process's own secrets are known in each spelling, and short ones are words", () => {
  const clean = createScrub({ secrets: ['p+ss/word 1', 'tell'] });
  expect(clean(`a p+ss/word 1, ${encodeURIComponent('p+ss/word 1')}, ${btoa('p+ss/word 1')} tell`)).toBe(
    `a ${REDACTED}, ${REDACTED}, ${REDACTED}= tell`,
  );
});

test('what JSON.parse quotes of any text is not told', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 60 }), fc.string({ maxLength: 60 }), (before, after) => {
      try {
        JSON.parse(`${before}GIFT-CARD-77${after}`);
      } catch (error) {
        expect(scrub((error as Error).message)).not.toContain('GIFT-CARD-77');
      }
    }),
    { numRuns: 2_000 },
  );
});

test('a hostile text of megabytes is done with soon, whatever it is made of', () => {
  for (const part of [
    'a',
    'a@',
    'a.a@a.',
    '://',
    'token=',
    '"',
    'eyJa.',
    '4 ',
    'state=a',
    'Key (',
    'row contains (',
  ])
    expect(scrub(`${part.repeat(100_000)}@ is not valid JSON`).length).toBeGreaterThan(0);
});
