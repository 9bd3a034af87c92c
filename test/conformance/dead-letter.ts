import { expect } from 'vitest';
import { type Context, testsFor } from './context.ts';
import type { Fixture } from './fixture.ts';
import { keyed, textsOf } from './fixture.ts';

async function newDeadLettering(f: Fixture, fields: object = {}) {
  const deadLetterTopic = await f.newTopic();
  const dead = await f.newSubscription(deadLetterTopic, fields);
  const deadLetterPolicy = { deadLetterTopic, maxDeliveryAttempts: 5 };
  return { ...(await f.newPair({ ...fields, deadLetterPolicy })), deadLetterTopic, dead };
}

/** Fails the next message until its attempts are used up; the attempts that were reported. */
async function useUpAttempts(f: Fixture, subscription: string): Promise<unknown[]> {
  const attempts: unknown[] = [];
  while (attempts.length < 5) {
    const received = await f.pull(subscription, 1);
    attempts.push(received[0]?.deliveryAttempt);
    await f.nack(subscription, ...received);
  }
  return attempts;
}

export function deadLetters(context: Context): void {
  const { it } = testsFor(context);

  it('counts attempts, then forwards the message with where it comes from', async (f) => {
    const { topic, subscription, dead } = await newDeadLettering(f);
    const [id] = await f.publish(topic, { data: Buffer.from('poison'), attributes: { kept: 'yes' } });
    expect(await useUpAttempts(f, subscription)).toEqual([1, 2, 3, 4, 5]);
    // The gcloud emulator forwards only when it would deliver again.
    expect(await f.pullNow(subscription)).toEqual([]);
    const [forwarded] = await f.pull(dead, 1);
    expect(textsOf([forwarded ?? {}])).toEqual(['poison']);
    expect(forwarded?.message?.messageId).not.toBe(id);
    expect(forwarded?.message?.attributes).toMatchObject({
      kept: 'yes',
      CloudPubSubDeadLetterSourceDeliveryCount: '5',
      CloudPubSubDeadLetterSourceSubscription: subscription.split('/').at(-1),
      CloudPubSubDeadLetterSourceSubscriptionProject: 'conformance',
      CloudPubSubDeadLetterSourceTopicPublishTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
  });

  it(
    'forwards an ordered message with its key, and goes on with the next of the key',
    async (f) => {
      const { topic, subscription, dead } = await newDeadLettering(f, { enableMessageOrdering: true });
      await f.publish(topic, ...keyed('k', 'poison', 'next'));
      await useUpAttempts(f, subscription);
      const [forwarded] = await f.pull(dead, 1);
      expect(forwarded?.message?.orderingKey).toBe('k');
      expect(textsOf(await f.pull(subscription, 1))).toEqual(['next']);
    },
    'deadLetterOrdering',
  );

  it(
    'keeps the message when the dead-letter topic has gone',
    async (f) => {
      const { topic, subscription, deadLetterTopic } = await newDeadLettering(f);
      await f.publish(topic, 'poison');
      await f.publisher.deleteTopic({ topic: deadLetterTopic });
      await useUpAttempts(f, subscription);
      const [kept] = await f.pull(subscription, 1);
      expect(kept?.deliveryAttempt).toBe(6);
    },
    'deadLetterTopicOptional',
  );
}
