import { expect } from 'vitest';
import { type Context, testsFor } from './context.ts';
import { ackIdOf } from './fixture.ts';

const exactlyOnce = { enableExactlyOnceDelivery: true };
const PERMANENT = 'PERMANENT_FAILURE_INVALID_ACK_ID';

export function exactlyOnceDelivery(context: Context): void {
  const { it } = testsFor(context);

  it('tells streams whether delivery is exactly once', async (f) => {
    const { topic, subscription } = await f.newPair(exactlyOnce);
    const stream = f.stream(subscription);
    await f.publish(topic, 'x');
    await stream.received(1);
    const [response] = stream.responses;
    expect(response?.subscriptionProperties?.exactlyOnceDeliveryEnabled).toBe(true);
  });

  it(
    'confirms acknowledgements on the stream',
    async (f) => {
      const { topic, subscription } = await f.newPair(exactlyOnce);
      const stream = f.stream(subscription);
      await f.publish(topic, 'x');
      const [received] = await stream.received(1);
      stream.acknowledge(received ?? {});
      const confirmed = () => stream.responses.flatMap((r) => r.acknowledgeConfirmation?.ackIds ?? []);
      await stream.until(() => confirmed().length > 0);
      expect(confirmed()).toEqual([received?.ackId]);
    },
    'exactlyOnceConfirmations',
  );

  it(
    'refuses to acknowledge a delivery that has ended, and says so for the ack id',
    async (f) => {
      const { topic, subscription } = await f.newPair(exactlyOnce);
      await f.publish(topic, 'x');
      const first = await f.pull(subscription, 1);
      await f.nack(subscription, ...first);
      const second = await f.pull(subscription, 1);
      const error = await f.acknowledge(subscription, ...first).catch((e: object) => e);
      const errorInfoMetadata = { [ackIdOf(first[0] ?? {})]: PERMANENT };
      expect(error).toMatchObject({ code: 3, reason: 'EXACTLY_ONCE_ACKID_FAILURE', errorInfoMetadata });
      await expect(f.acknowledge(subscription, ...second)).resolves.toBeUndefined();
      await expect(f.acknowledge(subscription, ...second)).resolves.toBeUndefined();
    },
    'exactlyOnceErrors',
  );

  it('lets Google’s client wait for the confirmation', async (f) => {
    const { topic, subscription } = await f.newPair(exactlyOnce);
    const receiving = f.client.subscription(subscription);
    const acknowledged = new Promise((resolve, reject) => {
      receiving.on('message', (message) => message.ackWithResponse().then(resolve, reject));
      receiving.on('error', reject);
    });
    await f.publish(topic, 'x');
    expect(await acknowledged).toBe('SUCCESS');
    await receiving.close();
  });
}
