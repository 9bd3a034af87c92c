import { expect } from 'vitest';
import { type Context, INVALID_ARGUMENT, testsFor } from './context.ts';

/** One message for each name, with these attributes. */
const MESSAGES: Readonly<Record<string, Record<string, string>>> = {
  us: { region: 'us', env: 'prod' },
  eu: { region: 'eu-west', env: 'dev' },
  quote: { region: 'say "hi"', 'a.b/c': '1' },
  none: { other: 'x' },
  last: { last: '' },
};

/** Each with the messages that pass; `last` always passes too, and ends the waiting. */
const CASES: readonly (readonly [filter: string, passing: string])[] = [
  ['attributes:region', 'us eu quote'],
  ['attributes.region = "us"', 'us'],
  ['attributes.region != "us"', 'eu quote none'],
  ['hasPrefix(attributes.region, "eu")', 'eu'],
  ['NOT hasPrefix(attributes.region, "eu")', 'us quote none'],
  ['-attributes:region', 'none'],
  ['NOT attributes:region', 'none'],
  ['attributes.region = "us" AND attributes.env = "prod"', 'us'],
  ['attributes.region = "us" OR attributes.env = "dev"', 'us eu'],
  ['attributes:region AND (attributes.env = "dev" OR attributes:"a.b/c")', 'eu quote'],
  ['attributes."a.b/c" = "1"', 'quote'],
  ['attributes.region = "say \\"hi\\""', 'quote'],
  ['attributes.region = "\\u0075s"', 'us'],
  ['attributes:region\n AND\tattributes:env', 'us eu'],
];

const MALFORMED = [
  'attributes.region = "us',
  "attributes.region = 'us'",
  'attributes.region > "us"',
  'attributes.region = 5',
  'hasprefix(attributes.region, "u")',
  '(attributes:region',
  'attributes:a AND attributes:b OR attributes:c',
  'data:x',
];

export function filters(context: Context): void {
  const { it } = testsFor(context);

  for (const [filter, passing] of CASES) {
    it(
      `delivers what passes ${JSON.stringify(filter)}, and counts the rest as acknowledged`,
      async (f) => {
        const { topic, subscription } = await f.newPair({ filter: `(${filter}) OR attributes:last` });
        await f.publish(
          topic,
          ...Object.entries(MESSAGES).map(([name, attributes]) => ({ data: Buffer.from(name), attributes })),
        );
        const expected = [...passing.split(' '), 'last'].sort();
        const received = await f.pull(subscription, expected.length);
        const names = received.map(({ message }) => Buffer.from(message?.data ?? '').toString());
        expect(names.sort()).toEqual(expected);
        expect(await f.pullNow(subscription)).toEqual([]);
      },
      'filters',
    );
  }

  it(
    'refuses malformed filters',
    async (f) => {
      const topic = await f.newTopic();
      for (const filter of MALFORMED)
        await expect(f.newSubscription(topic, { filter })).rejects.toMatchObject(INVALID_ARGUMENT);
    },
    'filters',
  );

  it(
    'takes filters of 256 bytes and not of 257',
    async (f) => {
      const topic = await f.newTopic();
      const ofLength = (bytes: number) => `attributes:${'k'.repeat(bytes - 'attributes:'.length)}`;
      await expect(f.newSubscription(topic, { filter: ofLength(256) })).resolves.toBeDefined();
      await expect(f.newSubscription(topic, { filter: ofLength(257) })).rejects.toMatchObject(
        INVALID_ARGUMENT,
      );
    },
    'filters',
  );
}
