import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineJob } from '../shared/job/define.ts';
import { AttributeConflictError, PayloadError } from '../shared/job/envelope.ts';
import { MessageLimitError, ReservedAttributeError } from '../shared/pubsub/limits.ts';
import type { OutgoingMessage } from '../shared/pubsub/message-sink.ts';
import { inSpan } from '../shared/trace/in-span.ts';
import { linkTo } from '../shared/trace/links.ts';
import { extractContext } from '../shared/trace/message-context.ts';
import { orderKeyOf, withOrderKey } from '../shared/trace/order-key.ts';
import { createMemorySink, type MemorySink } from '../test/fakes/memory-sink.ts';
import { startTestTelemetry, type TestTelemetry } from '../test/fakes/telemetry.ts';
import { createPublisher, type Publisher, type PublisherOptions } from './publish.ts';

const payload = z.strictObject({ n: z.number().default(0) });
const job = defineJob({ name: 'mail.send', version: 1, topic: 'jobs', payload });
const ordered = defineJob({
  ...{ name: 'mail.ordered', version: 3, topic: 'jobs', payload },
  orderingKey: (_payload, orderKey) => orderKey,
});
const SENT = 'messaging.client.sent.messages';

let telemetry: TestTelemetry;
let sink: MemorySink;
let publisher: Publisher;
beforeEach(() => {
  telemetry = startTestTelemetry();
  sink = createMemorySink();
  publisher = publisherWith({});
});
afterEach(() => telemetry.stop());

function publisherWith(options: Partial<PublisherOptions>): Publisher {
  return createPublisher({ sink, source: 'shop', batching: { maxDelayMs: 0 }, ...options });
}

function onlyMessage(): OutgoingMessage {
  const [message] = sink.messages;
  if (!message || sink.messages.length > 1) throw new Error(`${sink.messages.length} messages were sent`);
  return message;
}

function attributesOf(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v']));
}

describe('publishing one job', () => {
  test('stores it and tells both ids', async () => {
    const published = await publisher.publish(
      job,
      { n: 1 },
      { jobId: 'job-1', attributes: { colour: 'red' } },
    );
    expect(published).toEqual({ jobId: 'job-1', messageId: 'stored-1' });
    expect(JSON.parse(Buffer.from(onlyMessage().data).toString())).toEqual({ n: 1 });
    expect(onlyMessage().attributes).toMatchObject({
      'ce-id': 'job-1',
      'ce-type': 'mail.send.v1',
      'ce-source': 'shop',
      colour: 'red',
    });
    expect(onlyMessage()).not.toHaveProperty('orderingKey');
  });

  test('makes up a job id that is unique', async () => {
    const [a, b] = await Promise.all([publisher.publish(job, {}), publisher.publish(job, {})]);
    expect(a.jobId).not.toBe(b.jobId);
    expect(sink.messages.map(({ attributes }) => attributes['ce-id'])).toEqual([a.jobId, b.jobId]);
  });

  test('is a PRODUCER span whose context the message carries', async () => {
    await inSpan('request', {}, () =>
      publisher.publish(job, { n: 12 }, { jobId: 'job-1', orderKey: 'order-1' }),
    );
    const [request, send] = [await telemetry.span('request'), await telemetry.span('send jobs')];
    expect(send).toMatchObject({ kind: 'PRODUCER', parentSpanId: request.spanId, status: { code: 'UNSET' } });
    expect(send.attributes).toEqual({
      'messaging.system': 'gcp_pubsub',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'jobs',
      'messaging.message.id': 'stored-1',
      'messaging.message.body.size': 8,
      'throughline.job.name': 'mail.send',
      'throughline.job.version': 1,
      'throughline.job.id': 'job-1',
      'order.event_id': 'order-1',
    });
    const carried = extractContext(onlyMessage().attributes);
    expect(carried.parent).toMatchObject({ traceId: send.traceId, spanId: send.spanId });
    expect(orderKeyOf(carried.context)).toBe('order-1');
  });

  test('takes the order key from the active context, and orders by it', async () => {
    await context.with(withOrderKey(ROOT_CONTEXT, 'order-1', 'saga-1'), () => publisher.publish(ordered, {}));
    expect(onlyMessage()).toMatchObject({ orderingKey: 'order-1', attributes: { 'ce-subject': 'order-1' } });
    expect((await telemetry.span('send jobs')).attributes).toMatchObject({
      'order.event_id': 'order-1',
      'saga.id': 'saga-1',
      'messaging.gcp_pubsub.message.ordering_key': 'order-1',
    });
  });

  test('prefers the order key and the context that it is given', async () => {
    const given = withOrderKey(trace.setSpanContext(ROOT_CONTEXT, CALLER), 'from-context');
    await inSpan('active', {}, () => publisher.publish(job, {}, { context: given, orderKey: 'given' }));
    expect(onlyMessage().attributes['ce-subject']).toBe('given');
    expect(await telemetry.span('send jobs')).toMatchObject({
      traceId: CALLER.traceId,
      parentSpanId: CALLER.spanId,
      attributes: { 'order.event_id': 'given' },
    });
  });

  test('has neither subject nor order where there is no order key', async () => {
    await publisher.publish(ordered, {});
    expect(onlyMessage()).not.toHaveProperty('orderingKey');
    expect(onlyMessage().attributes).not.toHaveProperty('ce-subject');
    expect(onlyMessage().attributes).not.toHaveProperty('baggage');
  });

  test('an order key that is no valid Unicode does not fail the message', async () => {
    await expect(publisher.publish(job, {}, { orderKey: 'half \ud83d' })).resolves.toBeDefined();
  });

  test('bears the links that it is given', async () => {
    const link = linkTo(CALLER, 'caused-by');
    await publisher.publish(job, {}, { links: link ? [link] : [] });
    expect((await telemetry.span('send jobs')).links).toMatchObject([{ spanId: CALLER.spanId }]);
  });

  test("writes Google's headers only when asked", async () => {
    await publisherWith({ interop: 'google' }).publish(job, {});
    expect(onlyMessage().attributes['googclient_traceparent']).toBe(onlyMessage().attributes['traceparent']);
    await publisher.publish(job, {});
    expect(sink.messages[1]?.attributes).not.toHaveProperty('googclient_traceparent');
  });

  test('works the same without telemetry', async () => {
    await telemetry.stop();
    await publisher.publish(job, {}, { orderKey: 'order-1' });
    expect(onlyMessage().attributes).not.toHaveProperty('traceparent');
    expect(onlyMessage().attributes['ce-subject']).toBe('order-1');
  });
});

const CALLER = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16), traceFlags: 1, isRemote: true };

describe('what cannot be published is refused before anything is sent', () => {
  test.each([
    ['a payload that the schema refuses', { n: 'x' }, {}, PayloadError],
    ["an attribute of the envelope's", {}, { attributes: { 'ce-id': 'mine' } }, AttributeConflictError],
    ['a reserved attribute', {}, { attributes: { googFoo: 'x' } }, ReservedAttributeError],
    ['an attribute that is too long', {}, { attributes: { big: 'x'.repeat(1_025) } }, MessageLimitError],
    ['too many attributes', {}, { attributes: attributesOf(100) }, MessageLimitError],
    ['an order key that is too long', {}, { orderKey: 'x'.repeat(1_025) }, MessageLimitError],
  ])('%s', async (_what, given, options, error) => {
    await expect(publisher.publish(job, given as { n: number }, options)).rejects.toThrow(error);
    expect(sink.requests).toEqual([]);
  });

  test('and a message at the limit of attributes still gets its traceparent', async () => {
    await publisher.publish(job, {}, { orderKey: 'o', attributes: attributesOf(92) });
    expect(Object.keys(onlyMessage().attributes)).toHaveLength(100);
    expect(onlyMessage().attributes).toHaveProperty('traceparent');
    expect(await telemetry.sum('throughline.context.dropped', { part: 'baggage' })).toBe(1);
  });
});

test('a failure to store it is on the span, counted, and thrown', async () => {
  sink.refuse(Object.assign(new Error('quota'), { code: 'RESOURCE_EXHAUSTED' }));
  await expect(publisher.publish(job, {})).rejects.toThrow('quota');
  expect(await telemetry.span('send jobs')).toMatchObject({
    status: { code: 'ERROR', message: 'quota' },
    attributes: { 'error.type': 'RESOURCE_EXHAUSTED' },
    events: [{ name: 'exception' }],
  });
  expect(await telemetry.sum(SENT, { 'error.type': 'RESOURCE_EXHAUSTED' })).toBe(1);
});

test('what was sent is counted by topic', async () => {
  await Promise.all([publisher.publish(job, {}), publisher.publish(job, {})]);
  expect(await telemetry.sum(SENT, { 'messaging.destination.name': 'jobs' })).toBe(2);
});

describe('what can never work is refused at once', () => {
  test('batches that Pub/Sub does not take', () => {
    const batching = { maxMessages: 1_001, maxBytes: 10_000_001, maxDelayMs: -1, maxInFlight: 0 };
    expect(() => publisherWith({ batching })).toThrow(
      /maxMessages: .* 1001; maxBytes: .*; maxDelayMs: .*; maxInFlight: /,
    );
  });

  test('a schema that does not accept the JSON of what it accepted', async () => {
    const dated = defineJob({
      name: 'mail.dated',
      version: 1,
      topic: 'jobs',
      payload: z.object({ at: z.date() }),
    });
    const published = publisher.publish(dated, { at: new Date() });
    await expect(published).rejects.toThrow(PayloadError);
    await expect(published).rejects.toThrow(/at: .*as the worker will read it/s);
    expect(sink.messages).toEqual([]);
  });
});

describe('publishing many jobs', () => {
  test('gives one result an item, in order, and failures stay alone', async () => {
    const items = [{ payload: { n: 1 } }, { payload: { n: 'x' as never } }, { payload: {}, jobId: 'third' }];
    const results = await publisher.publishAll(job, items);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { code: 'PAYLOAD_INVALID' } });
    expect(results[2]).toMatchObject({ value: { jobId: 'third' } });
    expect(sink.messages).toHaveLength(2);
  });

  test('uses whole batches', async () => {
    const results = await publisher.publishAll(job, numbers(1_200));
    expect(results).toHaveLength(1_200);
    expect(sink.requests.length).toBeLessThanOrEqual(4);
    expect(sink.messages.map(({ data }) => JSON.parse(Buffer.from(data).toString()).n)).toEqual(
      Array.from({ length: 1_200 }, (_, n) => n),
    );
  });

  test('reads no further than what may be under way', async () => {
    sink.hold();
    let read = 0;
    async function* counted() {
      for (const item of numbers(9_000)) {
        read += 1;
        yield item;
      }
    }
    const results = publisher.publishAll(job, counted());
    await sink.requested(4);
    while (read < 4_001) await turns(1);
    await turns(20);
    expect(read).toBe(4_001);
    for (let answered = 0; answered < 18; answered++) {
      await sink.requested(answered + 1);
      sink.answer();
    }
    expect((await results).every(({ status }) => status === 'fulfilled')).toBe(true);
    expect(read).toBe(9_000);
  });

  test('of nothing gives nothing', async () => {
    expect(await publisher.publishAll(job, [])).toEqual([]);
  });

  test('rejects with what the items throw, once those that were read have settled', async () => {
    sink.hold();
    function* failing() {
      yield { payload: { n: 1 } };
      throw new Error('the cursor broke');
    }
    let isSettled = false;
    const results = publisher.publishAll(job, failing()).finally(() => {
      isSettled = true;
    });
    results.catch(() => {});
    await sink.requested(1);
    await turns(3);
    expect(isSettled).toBe(false);
    sink.answer();
    await expect(results).rejects.toThrow('the cursor broke');
  });
});

test('closing waits for what is under way, and may be done twice', async () => {
  sink.hold();
  const published = publisher.publish(job, {});
  await sink.requested(1);
  let isClosed = false;
  const closed = Promise.all([publisher.close(), publisher.close()]).then(() => {
    isClosed = true;
  });
  await turns(3);
  expect(isClosed).toBe(false);
  sink.answer();
  await closed;
  await published;
});

/** Lets whatever is due run: microtasks and immediates. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

function* numbers(count: number) {
  for (let n = 0; n < count; n++) yield { payload: { n } };
}
