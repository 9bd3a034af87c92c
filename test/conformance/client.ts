import { once } from 'node:events';
import type { Message } from '@google-cloud/pubsub';
import { expect } from 'vitest';
import { type Context, testsFor } from './context.ts';

export function handWrittenClient(context: Context): void {
  const { it } = testsFor(context);

  it('creates on demand, and knows what exists', async (f) => {
    const topic = f.client.topic(f.uniqueName('topics'));
    expect(await topic.exists()).toEqual([false]);
    await topic.get({ autoCreate: true });
    expect(await topic.exists()).toEqual([true]);
    const [subscription] = await topic.createSubscription(f.uniqueName('subscriptions'));
    await subscription.setMetadata({ ackDeadlineSeconds: 45 });
    const [metadata] = await subscription.getMetadata();
    expect(metadata.ackDeadlineSeconds).toBe(45);
  });

  it('receives what it published, in its order, and acknowledges it', async (f) => {
    const { topic, subscription } = await f.newPair({ enableMessageOrdering: true });
    const sending = f.client.topic(topic, { messageOrdering: true });
    const sent = Array.from({ length: 20 }, (_, index) => `m${index}`);
    await Promise.all(
      sent.map((text) => sending.publishMessage({ data: Buffer.from(text), orderingKey: 'k' })),
    );
    const receiving = f.client.subscription(subscription);
    const texts: string[] = [];
    await new Promise<void>((resolve, reject) => {
      receiving.on('error', reject);
      receiving.on('message', (message: Message) => {
        texts.push(message.data.toString());
        message.ack();
        if (texts.length === sent.length) resolve();
      });
    });
    await receiving.close();
    expect(texts).toEqual(sent);
    expect(await f.pullNow(subscription)).toEqual([]);
  });

  it('receives a message again after a nack', async (f) => {
    const { topic, subscription } = await f.newPair();
    const receiving = f.client.subscription(subscription);
    await f.publish(topic, 'x');
    const [first]: Message[] = await once(receiving, 'message');
    first?.nack();
    const [second]: Message[] = await once(receiving, 'message');
    expect(second?.id).toBe(first?.id);
    second?.ack();
    await receiving.close();
  });
}
