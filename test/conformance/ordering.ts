import { expect } from 'vitest';
import { type Context, testsFor } from './context.ts';
import { keyed, textsOf } from './fixture.ts';

const ordered = { enableMessageOrdering: true };

export function ordering(context: Context): void {
  const { it } = testsFor(context);

  it('pulls the messages of a key in the order of publishing', async (f) => {
    const { topic, subscription } = await f.newPair(ordered);
    await f.publish(topic, ...keyed('k', 'a', 'b', 'c', 'd', 'e'));
    const texts: string[] = [];
    while (texts.length < 5) {
      const received = await f.pull(subscription, 1);
      texts.push(...textsOf(received));
      await f.acknowledge(subscription, ...received);
    }
    expect(texts.join('')).toBe('abcde');
  });

  it(
    'streams a key’s messages in order, without waiting for acknowledgements',
    async (f) => {
      const { topic, subscription } = await f.newPair(ordered);
      const stream = f.stream(subscription);
      await f.publish(topic, ...keyed('k', 'a', 'b', 'c'));
      expect(textsOf(await stream.received(3)).join('')).toBe('abc');
    },
    'orderedRedelivery',
  );

  it(
    'delivers a failed message and all later ones of its key again, in order, acknowledged or not',
    async (f) => {
      const { topic, subscription } = await f.newPair(ordered);
      const stream = f.stream(subscription);
      await f.publish(topic, ...keyed('k', 'a', 'b', 'c', 'd'), ...keyed('other', 'x'));
      const all = await stream.received(5);
      const find = (text: string) => all.filter((received) => textsOf([received])[0] === text);
      stream.acknowledge(...find('a'), ...find('c'), ...find('x'));
      stream.nack(...find('b'));
      expect(textsOf((await stream.received(8)).slice(5)).join('')).toBe('bcd');
    },
    'orderedRedelivery',
  );

  it(
    'keeps a key’s messages on one stream while any is outstanding',
    async (f) => {
      const { topic, subscription } = await f.newPair(ordered);
      const streams = [f.stream(subscription), f.stream(subscription)];
      await f.publish(topic, ...keyed('k', 'a'));
      await Promise.race(streams.map((stream) => stream.received(1)));
      await f.publish(topic, ...keyed('k', 'b', 'c', 'd'));
      const holder = streams.find((stream) => stream.messages.length > 0);
      expect(textsOf((await holder?.received(4)) ?? []).join('')).toBe('abcd');
    },
    'orderedRedelivery',
  );

  it('moves a key to another stream once nothing of it is outstanding', async (f) => {
    const { topic, subscription } = await f.newPair(ordered);
    const first = f.stream(subscription);
    await f.publish(topic, ...keyed('k', 'a'));
    const [a] = await first.received(1);
    await f.acknowledge(subscription, a ?? {});
    await f.hangUp(first, subscription);
    const second = f.stream(subscription);
    await f.publish(topic, ...keyed('k', 'b'));
    expect(textsOf(await second.received(1))).toEqual(['b']);
  });

  it('does not hold one key up for another', async (f) => {
    const { topic, subscription } = await f.newPair(ordered);
    await f.publish(topic, ...keyed('slow', 'a'));
    await f.pull(subscription, 1);
    await f.publish(topic, ...keyed('quick', 'b'), 'unkeyed');
    expect(textsOf(await f.pull(subscription, 2)).sort()).toEqual(['b', 'unkeyed']);
  });

  it('only carries the key when ordering is off', async (f) => {
    const { topic, subscription } = await f.newPair();
    await f.publish(topic, ...keyed('k', 'a', 'b', 'c'));
    const received = await f.pull(subscription, 3);
    expect(received.map(({ message }) => message?.orderingKey)).toEqual(['k', 'k', 'k']);
  });
}
