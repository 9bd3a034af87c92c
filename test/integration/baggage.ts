import { context, propagation } from '@opentelemetry/api';
import { expect, test } from 'vitest';
import { done } from '../../shared/index.ts';
import type { Setting } from './suite.ts';

const members = {
  'order.event_id': { value: 'O-baggage' },
  'saga.id': { value: 'S-1' },
  'user.email': { value: 'owner@shop.example' },
  tenant: { value: 'acme' },
};

export function baggage({ stage, source }: Setting): void {
  test.each([
    { title: 'the order key and the saga', baggageKeys: undefined, kept: ['order.event_id', 'saga.id'] },
    { title: 'what the service names', baggageKeys: ['tenant'], kept: ['tenant'] },
  ])('only $title crosses, and the rest never leaves', async ({ baggageKeys, kept }) => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    const allowList = baggageKeys && { baggageKeys };
    const publisher = channel.newPublisher(allowList);
    let arrived: string[] = [];
    let header = '';
    await channel.work(
      (worker) =>
        worker.handle(job, async ({ message }) => {
          arrived = (propagation.getActiveBaggage()?.getAllEntries() ?? []).map(([key]) => key);
          header = message.attributes['baggage'] ?? '';
          return done();
        }),
      allowList,
    );
    const sending = propagation.setBaggage(context.active(), propagation.createBaggage(members));
    await context.with(sending, () => publisher.publish(job, { text: 'hello' }));
    await channel.settled.final(1);
    const added = baggageKeys ? ['order.event_id'] : [];
    expect(arrived.toSorted()).toEqual([...kept, ...added].toSorted());
    expect(header.split(',').map((member) => member.split('=')[0])).toEqual(kept);
  });

  test("a stranger's baggage is not taken over, except for what is on the allow-list", async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    let arrived: unknown[] = [];
    await channel.work((worker) =>
      worker.handle(job, async () => {
        arrived = (propagation.getActiveBaggage()?.getAllEntries() ?? []).map(([key, { value }]) => [
          key,
          value,
        ]);
        return done();
      }),
    );
    await channel.publishPlainly('{"text":"hello"}', {
      'ce-type': job.type,
      baggage: 'admin=true,order.event_id=O-stranger,user.email=a%40b.example',
    });
    await channel.settled.final(1);
    expect(arrived).toEqual([['order.event_id', 'O-stranger']]);
  });
}
