import { context, propagation } from '@opentelemetry/api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { done, retry } from '../../shared/index.ts';
import { fromDeadLetter } from '../../subscriber/index.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { type Stage, startStage } from '../support/stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await startStage(EMBEDDED);
});
afterAll(() => stage.close());

const MAX_BYTES = 10_000_000;
const crowd = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`attribute-${index}`, `value ${index}`]));
/** A note of this many bytes of JSON. */
const noteOf = (bytes: number) =>
  Buffer.from(JSON.stringify({ text: 'x'.repeat(bytes - '{"text":""}'.length) }));

describe('100 attributes that are there already', () => {
  test("a stranger's job with 100 attributes runs", async () => {
    const channel = await stage.newChannel();
    const job = channel.job();
    let seen = 0;
    await channel.work((worker) =>
      worker.handle(job, async ({ message }) => {
        seen = Object.keys(message.attributes).length;
        return done();
      }),
    );
    await channel.publishPlainly('{"text":"x"}', { ...crowd(99), 'ce-type': job.type });
    await channel.settled.final(1);
    expect(seen).toBe(100);
  });

  test('and dies with its reason, and can be published again with all of them', async () => {
    const channel = await stage.newChannel();
    await channel.work((worker) => worker.handle(channel.job(), async () => done()));
    const attributes = { ...crowd(99), 'ce-type': 'coffee.make.v1' };
    await channel.publishPlainly('two\nlines', attributes);
    const [letter] = await channel.deadLetters(1);
    expect(letter?.attributes).toMatchObject({
      'dead-letter-reason': expect.stringMatching(/^JOB_UNKNOWN: no handler for "coffee\.make\.v1"/),
      'dead-letter-folded': 'attributes',
    });
    if (!letter) throw new Error('there is no dead letter');
    const again = fromDeadLetter(letter);
    expect(again.attributes).toEqual(attributes);
    expect(Buffer.from(again.data).toString()).toBe('two\nlines');
  });

  test('a publisher gives up baggage, then tracestate, never traceparent, and refuses what still does not fit', async () => {
    const channel = await stage.newChannel();
    const job = channel.job();
    const arrived: string[] = [];
    await channel.work((worker) =>
      worker.handle(job, async ({ message: { attributes } }) => {
        const context = ['baggage', 'tracestate', 'traceparent'].filter((key) => key in attributes);
        arrived.push(`${Object.keys(attributes).length}: ${context.join(' ')}`);
        return done();
      }),
    );
    const withOrder = propagation.setBaggage(
      context.active(),
      propagation.createBaggage({ 'saga.id': { value: 'S-1' } }),
    );
    // The envelope has seven attributes of its own with an order key, and the context one or two.
    for (const count of [91, 92, 93]) {
      await channel.publisher.publish(
        job,
        { text: 'x' },
        { orderKey: 'O', attributes: crowd(count - 1), context: withOrder },
      );
    }
    await channel.settled.final(3);
    expect(arrived.toSorted()).toEqual(
      ['100: traceparent', '99: baggage traceparent', '100: baggage traceparent'].toSorted(),
    );
    const tooMany = channel.publisher.publish(job, { text: 'x' }, { orderKey: 'O', attributes: crowd(93) });
    await expect(tooMany).rejects.toMatchObject({ code: 'MESSAGE_LIMIT', field: 'attributes', limit: 100 });
  });
});

describe('a payload of 10 MB', () => {
  test('crosses whole, through our publisher and worker', async () => {
    const channel = await stage.newChannel();
    const job = channel.job();
    let bytes = 0;
    await channel.work((worker) =>
      worker.handle(job, async ({ message }) => {
        bytes = message.data.byteLength;
        return done();
      }),
    );
    const text = 'x'.repeat(MAX_BYTES - 5_000);
    await channel.publisher.publish(job, { text });
    await channel.settled.final(1);
    expect(bytes).toBe(Buffer.byteLength(JSON.stringify({ text })));
  });

  test('and one byte more than Pub/Sub takes is refused before it is sent, by name', async () => {
    const channel = await stage.newChannel();
    const sending = channel.publisher.publish(channel.job(), { text: 'x'.repeat(MAX_BYTES) });
    await expect(sending).rejects.toMatchObject({
      code: 'MESSAGE_LIMIT',
      field: 'message',
      limit: MAX_BYTES,
    });
  });

  test('that is not what the schema asks for is a dead letter with its reason', async () => {
    const channel = await stage.newChannel();
    const job = channel.job();
    await channel.work((worker) => worker.handle(job, async () => done()));
    const data = Buffer.alloc(MAX_BYTES - 5_000, '[');
    await channel.publishPlainly(data, { 'ce-type': job.type });
    const [letter] = await channel.deadLetters(1);
    expect(letter?.data.equals(data)).toBe(true);
    expect(letter?.attributes['dead-letter-error-type']).toBe('PAYLOAD_INVALID');
  });

  test('that leaves no room for a reason is forwarded whole by Pub/Sub itself', async () => {
    const channel = await stage.newChannel({ maxDeliveryAttempts: 5 });
    const job = channel.job({ retry: { maxAttempts: 1, minBackoffMs: 5, maxBackoffMs: 5 } });
    const handled: number[] = [];
    await channel.work((worker) =>
      worker.handle(job, async ({ attempt }) => {
        handled.push(attempt);
        return retry('no');
      }),
    );
    const data = noteOf(MAX_BYTES - 300);
    await channel.publishPlainly(data, { 'ce-type': job.type, 'ce-id': 'giant' });
    const [letter] = await channel.deadLetters(1);
    expect(letter?.data.equals(data)).toBe(true);
    expect(letter?.attributes).toMatchObject({ 'ce-id': 'giant' });
    await channel.settled.all(5);
    expect(handled).toEqual([1, 2, 3, 4, 5]);
    expect(channel.settled.entries.map(({ outcome }) => outcome)).toEqual(Array(5).fill('retry'));
  });
});
