import { expect } from 'vitest';
import { type Context, INVALID_ARGUMENT, testsFor } from './context.ts';
import { textsOf } from './fixture.ts';

const texts = (count: number) => Array.from({ length: count }, (_, index) => `m${index}`);

export function streaming(context: Context): void {
  const { it } = testsFor(context);

  it('delivers what was there before the stream and what comes after', async (f) => {
    const { topic, subscription } = await f.newPair();
    await f.publish(topic, 'before');
    const stream = f.stream(subscription);
    await stream.received(1);
    await f.publish(topic, 'after');
    expect(textsOf(await stream.received(2))).toEqual(['before', 'after']);
  });

  it('acknowledges on the stream and by a call alike', async (f) => {
    const { topic, subscription } = await f.newPair();
    const stream = f.stream(subscription);
    await f.publish(topic, 'a', 'b');
    const [first, second] = await stream.received(2);
    if (!first || !second) throw new Error('two messages were expected');
    stream.acknowledge(first);
    await f.acknowledge(subscription, second);
    await f.hangUp(stream, subscription);
    await f.publish(topic, 'c');
    expect(textsOf(await f.pull(subscription, 1))).toEqual(['c']);
  });

  it('delivers a message again that was handed back on the stream', async (f) => {
    const { topic, subscription } = await f.newPair();
    const stream = f.stream(subscription);
    await f.publish(topic, 'x');
    stream.nack(...(await stream.received(1)));
    expect(textsOf(await stream.received(2))).toEqual(['x', 'x']);
  });

  it('gives each message to one of two streams', async (f) => {
    const { topic, subscription } = await f.newPair();
    const streams = [f.stream(subscription), f.stream(subscription)];
    await f.publish(topic, ...texts(40));
    const all = () => streams.flatMap((stream) => stream.messages);
    await Promise.race(streams.map((stream) => stream.until(() => all().length >= 40)));
    expect(new Set(textsOf(all())).size).toBe(40);
  });

  it('needs a deadline from 10 to 600 s in the first request', async (f) => {
    const { subscription } = await f.newPair();
    for (const streamAckDeadlineSeconds of [0, 9, 601, -1])
      expect(await f.stream(subscription, { streamAckDeadlineSeconds }).failure()).toMatchObject(
        INVALID_ARGUMENT,
      );
  });

  it('ends a stream that names a subscription twice', async (f) => {
    const { subscription } = await f.newPair();
    const stream = f.stream(subscription);
    stream.write({ subscription });
    expect(await stream.failure()).toMatchObject(INVALID_ARGUMENT);
  });

  it(
    'ends a stream that changes its flow control or protocol version',
    async (f) => {
      const { subscription } = await f.newPair();
      for (const later of [
        { protocolVersion: 1 },
        { maxOutstandingMessages: 5 },
        { maxOutstandingBytes: 5 },
      ]) {
        const stream = f.stream(subscription);
        stream.write(later);
        expect(await stream.failure()).toMatchObject(INVALID_ARGUMENT);
      }
    },
    'firstRequestOnly',
  );

  it('ends a stream with malformed ack ids or unequal lists', async (f) => {
    const { subscription } = await f.newPair();
    const unequal = { modifyDeadlineAckIds: ['1:1:1'], modifyDeadlineSeconds: [10, 20] };
    const negative = { modifyDeadlineAckIds: ['1:1:1'], modifyDeadlineSeconds: [-1] };
    for (const later of [unequal, negative, { ackIds: ['garbage'] }]) {
      const stream = f.stream(subscription);
      stream.write(later);
      expect(await stream.failure()).toMatchObject(INVALID_ARGUMENT);
    }
  });

  it(
    'answers an empty request, so that clients know that the stream is alive',
    async (f) => {
      const { subscription } = await f.newPair();
      await f.stream(subscription, { protocolVersion: 1 }).roundTrip();
    },
    'keepAlive',
  );

  it(
    'tells a stream when its subscription is deleted',
    async (f) => {
      const { subscription } = await f.newPair();
      const stream = f.stream(subscription);
      await stream.roundTrip();
      await f.subscriber.deleteSubscription({ subscription });
      expect(await stream.failure()).toMatchObject({ code: 5 });
    },
    'keepAlive',
  );
}

export function flowControl(context: Context): void {
  const { it } = testsFor(context);

  it(
    'stops at the most outstanding messages, and goes on for each that is acknowledged or handed back',
    async (f) => {
      const { topic, subscription } = await f.newPair();
      const stream = f.stream(subscription, { maxOutstandingMessages: 5 });
      await f.publish(topic, ...texts(10));
      const [first, second, third] = await stream.received(5);
      await stream.roundTrip();
      expect(stream.messages).toHaveLength(5);
      stream.acknowledge(first ?? {});
      await stream.received(6);
      await f.acknowledge(subscription, second ?? {});
      await stream.received(7);
      stream.nack(third ?? {});
      await stream.received(8);
      await stream.roundTrip();
      expect(stream.messages).toHaveLength(8);
    },
    'flowControl',
    'keepAlive',
  );

  it(
    'stops at the most outstanding bytes',
    async (f) => {
      const { topic, subscription } = await f.newPair();
      const stream = f.stream(subscription, { maxOutstandingBytes: 2_500 });
      await f.publish(topic, ...texts(5).map(() => 'x'.repeat(1_000)));
      const [first] = await stream.received(3);
      await stream.roundTrip();
      expect(stream.messages).toHaveLength(3);
      stream.acknowledge(first ?? {});
      await stream.received(4);
      await stream.roundTrip();
      expect(stream.messages).toHaveLength(4);
    },
    'flowControl',
    'keepAlive',
  );

  it(
    'leaves what one stream has no room for to another',
    async (f) => {
      const { topic, subscription } = await f.newPair();
      const narrow = f.stream(subscription, { maxOutstandingMessages: 1 });
      await f.publish(topic, 'first');
      await narrow.received(1);
      const wide = f.stream(subscription);
      await f.publish(topic, ...texts(4));
      expect(textsOf(await wide.received(4)).sort()).toEqual(texts(4));
      expect(narrow.messages).toHaveLength(1);
    },
    'flowControl',
  );
}
