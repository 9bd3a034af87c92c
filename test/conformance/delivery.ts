import { expect } from 'vitest';
import { type Context, INVALID_ARGUMENT, testsFor } from './context.ts';
import { ackIdOf, textsOf } from './fixture.ts';

export function pulling(context: Context): void {
  const { it } = testsFor(context);

  it('answers at once when told to, with or without messages', async (f) => {
    const { topic, subscription } = await f.newPair();
    expect(await f.pullNow(subscription)).toEqual([]);
    await f.publish(topic, 'x');
    expect(await f.pullNow(subscription)).toHaveLength(1);
  });

  it('lets a pull wait until a message comes', async (f) => {
    const { topic, subscription } = await f.newPair();
    const waiting = f.pull(subscription, 1);
    await f.publish(topic, 'awaited');
    expect(textsOf(await waiting)).toEqual(['awaited']);
  });

  it('wakes a waiting pull when a message is handed back', async (f) => {
    const { topic, subscription } = await f.newPair();
    await f.publish(topic, 'again');
    const first = await f.pull(subscription, 1);
    const waiting = f.pull(subscription, 1);
    await f.nack(subscription, ...first);
    expect(textsOf(await waiting)).toEqual(['again']);
  });

  it('gives an outstanding message to nobody else', async (f) => {
    const { topic, subscription } = await f.newPair();
    await f.publish(topic, ...Array.from({ length: 20 }, (_, index) => `m${index}`));
    const halves = await Promise.all([f.pull(subscription, 10), f.pull(subscription, 10)]);
    expect(new Set(textsOf(halves.flat())).size).toBe(20);
    expect(await f.pullNow(subscription)).toEqual([]);
  });

  it('does not deliver an acknowledged message again', async (f) => {
    const { topic, subscription } = await f.newPair();
    await f.publish(topic, 'a', 'b');
    const received = await f.pull(subscription, 2);
    const [a, b] = received.sort((x, y) =>
      textsOf([x])
        .join()
        .localeCompare(textsOf([y]).join()),
    );
    if (!a || !b) throw new Error('two messages were expected');
    await f.acknowledge(subscription, a);
    await f.acknowledge(subscription, a);
    await f.nack(subscription, b);
    expect(textsOf(await f.pull(subscription, 1))).toEqual(['b']);
    expect(await f.pullNow(subscription)).toEqual([]);
  });

  it('refuses malformed ack ids, empty lists and deadlines out of bounds', async (f) => {
    const { topic, subscription } = await f.newPair();
    await f.publish(topic, 'x');
    const [received] = await f.pull(subscription, 1);
    const ackIds = [ackIdOf(received ?? {})];
    const modify = (ids: string[], ackDeadlineSeconds: number) =>
      f.subscriber.modifyAckDeadline({ subscription, ackIds: ids, ackDeadlineSeconds });
    await expect(f.subscriber.acknowledge({ subscription, ackIds: ['garbage'] })).rejects.toMatchObject(
      INVALID_ARGUMENT,
    );
    await expect(f.subscriber.acknowledge({ subscription, ackIds: [] })).rejects.toMatchObject(
      INVALID_ARGUMENT,
    );
    await expect(modify(['garbage'], 10)).rejects.toMatchObject(INVALID_ARGUMENT);
    await expect(modify(ackIds, -1)).rejects.toMatchObject(INVALID_ARGUMENT);
    await expect(modify(ackIds, 600)).resolves.toBeDefined();
  });

  it(
    'refuses deadlines above 600 s',
    async (f) => {
      const { topic, subscription } = await f.newPair();
      await f.publish(topic, 'x');
      const ackIds = (await f.pull(subscription, 1)).map(ackIdOf);
      const modify = f.subscriber.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds: 601 });
      await expect(modify).rejects.toMatchObject(INVALID_ARGUMENT);
    },
    'ackDeadlineMaximum',
  );

  it('reports no delivery attempts without a dead-letter policy', async (f) => {
    const { topic, subscription } = await f.newPair();
    await f.publish(topic, 'x');
    expect((await f.pull(subscription, 1))[0]?.deliveryAttempt).toBe(0);
  });
}

/** These wait for deadlines and backoffs of the server's own clock, all at the same time. */
export function redelivery(context: Context): void {
  const { slowly } = testsFor(context);

  slowly('delivers again when the deadline passes', async (f) => {
    const { topic, subscription } = await f.newPair();
    await f.publish(topic, 'late');
    const first = await f.pull(subscription, 1);
    await f.modifyAckDeadline(subscription, 1, ...first);
    const [second] = await f.pull(subscription, 1);
    expect(second?.message?.messageId).toBe(first[0]?.message?.messageId);
    expect(second?.ackId).not.toBe(first[0]?.ackId);
  });

  slowly('postpones the deadline of a message, and only of that one', async (f) => {
    const { topic, subscription } = await f.newPair();
    await f.publish(topic, 'a', 'b');
    const [kept, dropped] = await f.pull(subscription, 2);
    if (!kept || !dropped) throw new Error('two messages were expected');
    await f.modifyAckDeadline(subscription, 1, kept, dropped);
    await f.modifyAckDeadline(subscription, 60, kept);
    expect(textsOf(await f.pull(subscription, 1))).toEqual(textsOf([dropped]));
    expect(await f.pullNow(subscription)).toEqual([]);
  });

  slowly('delivers again when the deadline of a stream passes', async (f) => {
    const { topic, subscription } = await f.newPair({ ackDeadlineSeconds: 60 });
    const stream = f.stream(subscription, { streamAckDeadlineSeconds: 10 });
    const startMs = performance.now();
    await f.publish(topic, 'x');
    await stream.received(2);
    expect(performance.now() - startMs).toBeGreaterThan(9_000);
    expect(performance.now() - startMs).toBeLessThan(55_000); // the subscription's own would be 60 s
  });

  slowly(
    'waits between attempts, longer each time, as the retry policy says',
    async (f) => {
      const retryPolicy = { minimumBackoff: { seconds: 1 }, maximumBackoff: { seconds: 10 } };
      const { topic, subscription } = await f.newPair({ retryPolicy });
      await f.publish(topic, 'x');
      const waitedMs = async () => {
        const messages = await f.pull(subscription, 1);
        const startMs = performance.now();
        await f.nack(subscription, ...messages);
        const again = await f.pull(subscription, 1);
        await f.nack(subscription, ...again);
        return performance.now() - startMs;
      };
      const [first, third] = [await waitedMs(), await waitedMs()];
      expect(first).toBeGreaterThan(900);
      // The third failure: 1 s, 2 s, then 4 s.
      expect(third).toBeGreaterThan(3_600);
    },
    'backoffFromFirstFailure',
  );

  slowly(
    'does not wait when the minimum backoff is 0',
    async (f) => {
      const retryPolicy = { minimumBackoff: { seconds: 0 }, maximumBackoff: { seconds: 600 } };
      const { topic, subscription } = await f.newPair({ retryPolicy });
      await f.publish(topic, 'x');
      await f.nack(subscription, ...(await f.pull(subscription, 1)));
      const startMs = performance.now();
      await f.pull(subscription, 1);
      expect(performance.now() - startMs).toBeLessThan(9_000); // where 0 counts as unset it is 10 s
    },
    'zeroBackoff',
  );
}
