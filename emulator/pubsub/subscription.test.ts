import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Delivery } from './delivery.ts';
import { ManualClock } from './manual-clock.ts';
import { Message } from './message.ts';
import { notFound, type StatusError } from './status.ts';
import { Subscriber } from './subscriber.ts';
import { Subscription } from './subscription.ts';
import { readSubscription } from './subscription-config.ts';
import { delimitedField } from './wire.ts';

class Recorder extends Subscriber {
  readonly deliveries: Delivery[] = [];
  endedWith: StatusError | undefined;
  override ackDeadlineMs = 10_000;

  deliver(deliveries: readonly Delivery[]): void {
    this.deliveries.push(...deliveries);
  }

  end(reason: StatusError): void {
    this.endedWith = reason;
  }

  get ids(): string {
    return this.deliveries.map(({ message }) => message.id).join('');
  }

  /** The ack id of the latest delivery of a message. */
  ackId(id: string): string {
    return this.deliveries.findLast(({ message }) => message.id === id)?.ackId ?? '';
  }
}

type Fields = Parameters<typeof readSubscription>[0];

function setUp(fields: Fields = {}, takesDeadLetters = true) {
  const clock = new ManualClock();
  const dead: string[] = [];
  const forward = ({ id }: Message) => {
    if (takesDeadLetters) dead.push(id);
    return takesDeadLetters;
  };
  const subscription = new Subscription({ config: readSubscription(fields), number: 1, clock, forward });
  const publish = (ids: string, key = '') => {
    for (const id of ids) {
      const message = new Message(delimitedField(1, id), key, { id, publishedAtMs: clock.nowMs() });
      subscription.add(message);
    }
    clock.advance(0);
  };
  const attach = (limits: Partial<Recorder> = {}) => {
    const recorder = Object.assign(new Recorder(), limits);
    subscription.attach(recorder);
    clock.advance(0);
    return recorder;
  };
  const act = (result: unknown) => {
    clock.advance(0);
    return result;
  };
  return { clock, dead, subscription, publish, attach, act };
}

const ordered: Fields = { enableMessageOrdering: true };
const policy = { deadLetterTopic: 'projects/p/topics/dead', maxDeliveryAttempts: 5 };

describe('deadlines', () => {
  test('redeliver with a new ack id, and free the room that the message took', () => {
    const { clock, publish, attach } = setUp();
    const subscriber = attach({ maxMessages: 1 });
    publish('a');
    clock.advance(9_999);
    expect(subscriber.ids).toBe('a');
    clock.advance(1);
    expect(subscriber.ids).toBe('aa');
    expect(subscriber.outstandingMessages).toBe(1);
    expect(new Set(subscriber.deliveries.map(({ ackId }) => ackId)).size).toBe(2);
  });

  test('leave no timer once nothing is outstanding', () => {
    const { clock, subscription, publish, attach, act } = setUp();
    const subscriber = attach();
    publish('a');
    act(subscription.acknowledge(subscriber.ackId('a')));
    clock.advance(20_000);
    expect(clock.pendingTasks).toBe(0);
    expect(subscription.backlog).toBe(0);
  });

  test('of a closed subscription do nothing', () => {
    const { clock, subscription, publish, attach } = setUp();
    const subscriber = attach();
    publish('a');
    subscription.close(notFound('s'));
    expect(clock.pendingTasks).toBe(0);
    expect(subscriber.endedWith).toBeDefined();
  });

  test('keep running when a stream is gone, so that another gets its messages', () => {
    const { clock, subscription, publish, attach } = setUp();
    const first = attach();
    publish('a');
    subscription.detach(first);
    const second = attach();
    expect(second.ids).toBe('');
    clock.advance(10_000);
    expect(second.ids).toBe('a');
  });
});

describe('a late acknowledgement', () => {
  test('still takes a message out that waits or is with somebody else', () => {
    const { clock, subscription, publish, attach, act } = setUp();
    const subscriber = attach();
    publish('a');
    const ackId = subscriber.ackId('a');
    clock.advance(10_000);
    expect(act(subscription.acknowledge(ackId))).toBe('ok');
    expect(subscription.backlog).toBe(0);
    expect(subscriber.outstandingMessages).toBe(0);
  });

  test('fails with exactly-once delivery (S7), while repeating a good one does not', () => {
    const { clock, subscription, publish, attach } = setUp({ enableExactlyOnceDelivery: true });
    const subscriber = attach();
    publish('a');
    const [late] = subscriber.deliveries;
    clock.advance(10_000);
    expect(subscription.acknowledge(late?.ackId ?? '')).toBe('expired');
    const current = subscriber.ackId('a');
    expect([subscription.acknowledge(current), subscription.acknowledge(current)]).toEqual(['ok', 'ok']);
  });
});

describe('ordering', () => {
  test('delivers a failed message and all later ones again, even acknowledged ones (S5)', () => {
    const { subscription, publish, attach, act } = setUp(ordered);
    const subscriber = attach();
    publish('abcd', 'k');
    subscription.acknowledge(subscriber.ackId('a'));
    subscription.acknowledge(subscriber.ackId('c'));
    act(subscription.modifyAckDeadline(subscriber.ackId('b'), 0));
    expect(subscriber.ids).toBe('abcdbcd');
  });

  test('holds the later ones back while the first waits for its backoff', () => {
    const retryPolicy = { minimumBackoff: { seconds: 1 }, maximumBackoff: { seconds: 1 } };
    const { clock, subscription, publish, attach, act } = setUp({ ...ordered, retryPolicy });
    const subscriber = attach();
    publish('ab', 'k');
    act(subscription.modifyAckDeadline(subscriber.ackId('a'), 0));
    publish('c', 'k');
    clock.advance(999);
    expect(subscriber.ids).toBe('ab');
    clock.advance(1);
    expect(subscriber.ids).toBe('ababc');
  });

  test('gives the rest of a key to the stream that holds its first message, also when that is full (S4)', () => {
    const { subscription, publish, attach, act } = setUp(ordered);
    const first = attach({ maxMessages: 1 });
    publish('ab', 'k');
    const second = attach();
    expect([first.ids, second.ids]).toEqual(['a', '']);
    act(subscription.acknowledge(first.ackId('a')));
    expect(first.ids + second.ids).toBe('ab');
  });

  test('keeps a key where its messages are while any of them is outstanding (S4)', () => {
    const { subscription, publish, attach, act } = setUp(ordered);
    const first = attach({ maxMessages: 2 });
    publish('abc', 'k');
    const second = attach();
    first.maxMessages = 1;
    act(subscription.acknowledge(first.ackId('a')));
    expect([first.ids, second.ids]).toEqual(['ab', '']);
    act(subscription.acknowledge(first.ackId('b')));
    expect(first.ids + second.ids).toBe('abc');
  });

  test('goes on with the next message of the key after a dead letter', () => {
    const { subscription, dead, publish, attach, act } = setUp({ ...ordered, deadLetterPolicy: policy });
    const subscriber = attach({ maxMessages: 1 });
    publish('ab', 'k');
    for (let attempt = 1; attempt <= 5; attempt++)
      act(subscription.modifyAckDeadline(subscriber.ackId('a'), 0));
    expect(dead).toEqual(['a']);
    expect(subscriber.ids).toBe('aaaaab');
  });

  test('refuses an acknowledgement out of order with exactly-once delivery', () => {
    const { subscription, publish, attach } = setUp({ ...ordered, enableExactlyOnceDelivery: true });
    const subscriber = attach();
    publish('ab', 'k');
    expect(subscription.acknowledge(subscriber.ackId('b'))).toBe('unordered');
    expect(subscription.acknowledge(subscriber.ackId('a'))).toBe('ok');
    expect(subscription.acknowledge(subscriber.ackId('b'))).toBe('ok');
  });

  test('never lets a message finish before an earlier one of its key, whatever fails', () => {
    const step = fc.record({
      at: fc.nat(),
      isAck: fc.boolean(),
      advanceMs: fc.constantFrom(0, 0, 0, 10_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { clock, subscription, publish, attach } = setUp(ordered);
        const subscriber = attach({ maxMessages: 3 });
        publish('abcde', 'k');
        publish('vwxyz', 'l');
        for (const { at, isAck, advanceMs } of steps) {
          const { ackId = '' } = subscriber.deliveries[at % subscriber.deliveries.length] ?? {};
          if (isAck) subscription.acknowledge(ackId);
          else subscription.modifyAckDeadline(ackId, 0);
          clock.advance(advanceMs);
        }
        // Each delivery is the first of its key, the one after the previous delivery, or an earlier one again.
        for (const key of ['abcde', 'vwxyz']) {
          const order = Array.from(subscriber.ids)
            .filter((id) => key.includes(id))
            .map((id) => key.indexOf(id));
          for (const [index, position] of order.entries())
            expect(position).toBeLessThanOrEqual((order[index - 1] ?? -1) + 1);
        }
        for (let round = 0; round < 10; round++) {
          for (const { ackId } of subscriber.deliveries) subscription.acknowledge(ackId);
          clock.advance(0);
        }
        expect(subscription.backlog).toBe(0);
        expect(subscriber.outstandingMessages).toBe(0);
        expect(subscriber.outstandingBytes).toBe(0);
      }),
    );
  });
});

describe('dead letters', () => {
  test('count nacks and missed deadlines alike, and stay here when the topic has gone (S6)', () => {
    const { clock, subscription, publish, attach, act } = setUp({ deadLetterPolicy: policy }, false);
    const subscriber = attach();
    publish('a');
    act(subscription.modifyAckDeadline(subscriber.ackId('a'), 0));
    for (let attempt = 2; attempt <= 6; attempt++) clock.advance(10_000);
    expect(subscriber.deliveries.map(({ deliveryAttempt }) => deliveryAttempt)).toEqual([
      1, 2, 3, 4, 5, 6, 7,
    ]);
  });
});

describe('sharing', () => {
  test('gives each subscriber its part of what is ready', () => {
    const { publish, attach } = setUp();
    const subscribers = [attach(), attach(), attach()];
    publish('abcdefghi');
    expect(subscribers.map(({ ids }) => ids.length)).toEqual([3, 3, 3]);
  });

  test('delivers nothing that outlived the retention', () => {
    const { clock, subscription, publish, attach } = setUp({ messageRetentionDuration: { seconds: 600 } });
    publish('a');
    clock.advance(600_001);
    expect(attach().ids).toBe('');
    expect(subscription.backlog).toBe(0);
  });

  test('counts what the filter turns down as acknowledged', () => {
    const { subscription, publish } = setUp({ filter: 'attributes:a' });
    publish('x');
    expect(subscription.backlog).toBe(0);
  });
});
