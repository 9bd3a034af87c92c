import { expect } from 'vitest';
import { type Context, INVALID_ARGUMENT, NOT_FOUND, testsFor } from './context.ts';
import { textsOf } from './fixture.ts';

const data = Buffer.from('x');
const withAttributes = (attributes: Record<string, string>) => ({ data, attributes });

export function publishing(context: Context): void {
  const { it } = testsFor(context);

  it('refuses a message with neither data nor attributes', async (f) => {
    await expect(f.publish(await f.newTopic(), {})).rejects.toMatchObject(INVALID_ARGUMENT);
  });

  it('takes a message with one attribute and no data', async (f) => {
    await expect(f.publish(await f.newTopic(), { attributes: { a: 'b' } })).resolves.toHaveLength(1);
  });

  it('refuses a request without messages, and one with 1001', async (f) => {
    const topic = await f.newTopic();
    await expect(f.publish(topic)).rejects.toMatchObject(INVALID_ARGUMENT);
    const many = Array.from({ length: 1001 }, () => 'x');
    await expect(f.publish(topic, ...many)).rejects.toMatchObject(INVALID_ARGUMENT);
    await expect(f.publish(topic, ...many.slice(1))).resolves.toHaveLength(1000);
  });

  it('refuses a topic that does not exist, and a malformed name', async (f) => {
    await expect(f.publish(f.uniqueName('topics'), 'x')).rejects.toMatchObject(NOT_FOUND);
    await expect(f.publish('nope', 'x')).rejects.toMatchObject(INVALID_ARGUMENT);
  });

  it(
    'says which resource was not found in the words of the real service',
    async (f) => {
      const missing = `projects/p/topics/nope`;
      await expect(f.publish(missing, 'x')).rejects.toThrow('Resource not found (resource=nope).');
    },
    'errorTexts',
  );

  it(
    'takes attribute keys of 256 bytes and values of 1024, and not a byte more',
    async (f) => {
      const topic = await f.newTopic();
      const largest = withAttributes({ ['k'.repeat(256)]: 'v'.repeat(1024) });
      await expect(f.publish(topic, largest)).resolves.toHaveLength(1);
      const longKey = withAttributes({ ['k'.repeat(257)]: '' });
      await expect(f.publish(topic, longKey)).rejects.toThrow(/length is 257 characters.*allowed is 256/);
      const longValue = withAttributes({ k: 'v'.repeat(1025) });
      await expect(f.publish(topic, longValue)).rejects.toThrow(/"k".*length is 1025 characters/);
      const wideValue = withAttributes({ k: 'é'.repeat(513) });
      await expect(f.publish(topic, wideValue)).rejects.toMatchObject(INVALID_ARGUMENT);
    },
    'limits',
  );

  it(
    'takes 100 attributes and not 101',
    async (f) => {
      const topic = await f.newTopic();
      const count = (n: number) =>
        withAttributes(Object.fromEntries(Array.from({ length: n }, (_, index) => [`k${index}`, 'v'])));
      await expect(f.publish(topic, count(100))).resolves.toHaveLength(1);
      await expect(f.publish(topic, count(101))).rejects.toMatchObject(INVALID_ARGUMENT);
    },
    'limits',
  );

  it(
    'refuses keys that start with goog, except those of Google’s own tracing',
    async (f) => {
      const topic = await f.newTopic();
      await expect(f.publish(topic, withAttributes({ googwhat: 'x' }))).rejects.toMatchObject(
        INVALID_ARGUMENT,
      );
      await expect(f.publish(topic, withAttributes({ goog: 'x' }))).rejects.toMatchObject(INVALID_ARGUMENT);
      const traced = withAttributes({ googclient_traceparent: 'x', googclient_tracestate: 'y', Google: 'z' });
      await expect(f.publish(topic, traced)).resolves.toHaveLength(1);
    },
    'limits',
  );

  it('takes ordering keys of 1024 bytes', async (f) => {
    const topic = await f.newTopic();
    await expect(f.publish(topic, { data, orderingKey: 'k'.repeat(1024) })).resolves.toHaveLength(1);
  });

  it(
    'refuses an ordering key of 1025 bytes',
    async (f) => {
      const long = { data, orderingKey: 'k'.repeat(1025) };
      await expect(f.publish(await f.newTopic(), long)).rejects.toMatchObject(INVALID_ARGUMENT);
    },
    'limits',
  );

  it(
    'answers too large a message or request with a status, not with a broken stream',
    async (f) => {
      const topic = await f.newTopic();
      await expect(f.publish(topic, { data: Buffer.alloc(21e6) })).rejects.toMatchObject(INVALID_ARGUMENT);
      const half = { data: Buffer.alloc(6e6) };
      await expect(f.publish(topic, half, half)).rejects.toMatchObject(INVALID_ARGUMENT);
      await expect(f.publish(topic, half)).resolves.toHaveLength(1);
    },
    'limits',
  );

  it('publishes nothing of a request in which one message is bad', async (f) => {
    const { topic, subscription } = await f.newPair();
    await expect(f.publish(topic, 'good', {})).rejects.toMatchObject(INVALID_ARGUMENT);
    await f.publish(topic, 'after');
    expect(textsOf(await f.pull(subscription, 1))).toEqual(['after']);
  });

  it('assigns ids and times itself, whatever the publisher wrote', async (f) => {
    const { topic, subscription } = await f.newPair();
    const forged = { data, messageId: 'mine', publishTime: { seconds: 1, nanos: 5 } };
    const [id] = await f.publish(topic, forged);
    const [received] = await f.pull(subscription, 1);
    expect(received?.message?.messageId).toBe(id);
    expect(id).not.toBe('mine');
    expect(Number(received?.message?.publishTime?.seconds)).toBeGreaterThan(1e9);
  });

  it('carries data, attributes and the ordering key unchanged', async (f) => {
    const { topic, subscription } = await f.newPair();
    const bytes = Buffer.from([0, 255, 128, 10]);
    await f.publish(topic, { data: bytes, attributes: { 'ce-id': 'ü', empty: '' }, orderingKey: 'k' });
    const [received] = await f.pull(subscription, 1);
    expect(Buffer.from(received?.message?.data ?? '')).toEqual(bytes);
    expect(received?.message?.attributes).toEqual({ 'ce-id': 'ü', empty: '' });
    expect(received?.message?.orderingKey).toBe('k');
  });

  it('gives each subscription a copy, and none of what was published before it existed', async (f) => {
    const { topic, subscription: first } = await f.newPair();
    await f.publish(topic, 'early');
    const second = await f.newSubscription(topic);
    await f.publish(topic, 'late');
    expect(textsOf(await f.pull(first, 2)).sort()).toEqual(['early', 'late']);
    expect(textsOf(await f.pull(second, 1))).toEqual(['late']);
  });
}
