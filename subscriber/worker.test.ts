import { context, propagation, trace } from '@opentelemetry/api';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { createPublisher } from '../publisher/index.ts';
import { ThroughlineError } from '../shared/errors.ts';
import { defineJob } from '../shared/job/define.ts';
import { cancelled, deadLetter, done, type Outcome, retry } from '../shared/job/outcome.ts';
import { createLogger } from '../shared/log.ts';
import type { IncomingMessage } from '../shared/pubsub/message-source.ts';
import { createMemorySink, type MemorySink } from '../test/fakes/memory-sink.ts';
import {
  createMemorySource,
  type MemorySource,
  type MemorySourceOptions,
} from '../test/fakes/memory-source.ts';
import { startTestTelemetry, type TestTelemetry } from '../test/fakes/telemetry.ts';
import { fromDeadLetter } from './dead-letter.ts';
import type { Delivery, JobDelivery } from './delivery.ts';
import { WorkerStoppingError } from './errors.ts';
import { createWorker, DuplicateHandlerError, type Worker, type WorkerOptions } from './worker.ts';

const payload = z.strictObject({ n: z.number().default(7) });
const job = defineJob({
  ...{ name: 'mail.send', version: 1, topic: 'jobs', payload },
  retry: { maxAttempts: 3, minBackoffMs: 1_000, maxBackoffMs: 1_000 },
  timeoutMs: 3_600_000,
});
const TYPED = { 'ce-type': 'mail.send.v1', 'ce-id': 'job-1' };
const SENDER = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) };
const TRACED = { ...TYPED, traceparent: `00-${SENDER.traceId}-${SENDER.spanId}-01` };

type Handle = (delivery: JobDelivery<{ n: number }>, signal: AbortSignal) => Promise<Outcome>;

let telemetry: TestTelemetry;
let source: MemorySource;
let sink: MemorySink;
let worker: Worker;
let settled: { readonly jobId: string; readonly kind: string; readonly attempt: number }[];
beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
  telemetry = startTestTelemetry();
  settled = [];
  sink = createMemorySink();
});
afterEach(async () => {
  const stopped = worker.stop();
  await vi.advanceTimersByTimeAsync(60_000);
  await stopped;
  expect(vi.getTimerCount(), 'timers left behind').toBe(0);
  vi.useRealTimers();
  await telemetry.stop();
});

async function working(
  handle: Handle,
  options: Partial<WorkerOptions> = {},
  hooks: Parameters<Worker['handle']>[2] = {},
): Promise<void> {
  prepare(options);
  worker.handle(job, handle, hooks);
  await worker.start();
}

function prepare(options: Partial<WorkerOptions> = {}, sourceOptions: MemorySourceOptions = {}): void {
  source = createMemorySource(sourceOptions);
  worker = createWorker({
    source,
    sink,
    topic: 'jobs',
    deadLetterTopic: 'jobs-dead',
    onSettled: ({ jobId, attempt }: Delivery, { kind }) => void settled.push({ jobId, kind, attempt }),
    ...options,
  });
}

/** A handler whose runs a test ends by hand, by the message's id. */
function manual() {
  const started: string[] = [];
  const ends = new Map<string, { resolve: (outcome: Outcome) => void; reject: (error: unknown) => void }>();
  const signals: AbortSignal[] = [];
  const handle: Handle = ({ message }, signal) =>
    new Promise((resolve, reject) => {
      started.push(message.id);
      signals.push(signal);
      ends.set(message.id, { resolve, reject });
    });
  const end = async (id: string, how: Outcome | Error = done()) => {
    const run = ends.get(id);
    if (!run) throw new Error(`${id} does not run`);
    ends.delete(id);
    if (how instanceof Error) run.reject(how);
    else run.resolve(how);
    await turn();
  };
  return { handle, started, end, signals, running: () => [...ends.keys()] };
}

const turn = () => vi.advanceTimersByTimeAsync(0);
const settlements = () => source.settlements.map(({ kind, message }) => `${kind} ${message.id}`);
const reasonOf = (dead: number) => sink.messages[dead]?.attributes['dead-letter-reason'];

class CardRefusedError extends ThroughlineError {
  override readonly name = 'CardRefusedError';
  readonly code = 'CARD_REFUSED';
}

describe('an outcome', () => {
  test('done acks', async () => {
    await working(async () => done());
    source.deliver({ attributes: TYPED });
    await turn();
    expect(settlements()).toEqual(['ack m1']);
    expect(settled).toEqual([{ jobId: 'job-1', kind: 'done', attempt: 1 }]);
    expect(sink.requests).toEqual([]);
  });

  test('cancelled acks, and the span says by whom', async () => {
    await working(async () => cancelled('operator'));
    source.deliver({ attributes: TYPED });
    await turn();
    expect(settlements()).toEqual(['ack m1']);
    expect(await telemetry.span('process jobs')).toMatchObject({
      status: { code: 'UNSET' },
      attributes: { 'throughline.job.outcome': 'cancelled', 'throughline.job.outcome.reason': 'operator' },
    });
  });

  test('retry hands back with its delay, or with the backoff of the job', async () => {
    const delays = [retry('later', { afterMs: 4_321 }), retry('later')];
    await working(async () => delays.shift() ?? done());
    source.deliver({ attributes: TYPED });
    source.deliver({ attributes: TYPED });
    await turn();
    expect(settlements()).toEqual(['nack m1', 'nack m2']);
    expect(source.settlements[0]?.afterMs).toBe(4_321);
    expect(source.settlements[1]?.afterMs).toBeGreaterThanOrEqual(500);
    expect(source.settlements[1]?.afterMs).toBeLessThanOrEqual(1_000);
  });

  test('deadLetter stores the message with its reason, and then acks', async () => {
    sink.hold();
    await working(async () => deadLetter('no such customer'));
    source.deliver({ attributes: TYPED, data: Buffer.from('{"n":1}') });
    await sink.requested(1);
    expect(settlements()).toEqual([]);
    sink.answer();
    await turn();
    expect(settlements()).toEqual(['ack m1']);
    expect(sink.requests[0]?.topic).toBe('jobs-dead');
    expect(sink.messages[0]?.attributes).toMatchObject({
      ...TYPED,
      'dead-letter-reason': 'no such customer',
      'dead-letter-attempts': '1',
      'dead-letter-subscription': 'jobs-worker',
      'dead-letter-message-id': 'm1',
    });
    expect(await telemetry.sum('throughline.dead_letters')).toBe(1);
  });
});

describe('a handler that fails', () => {
  test('is retried, and the span bears the error', async () => {
    await working(async () => {
      throw Object.assign(new Error('no answer'), { code: 'PARTNER_DOWN' });
    });
    source.deliver({ attributes: TYPED });
    await turn();
    expect(settlements()).toEqual(['nack m1']);
    expect(await telemetry.span('process jobs')).toMatchObject({
      status: { code: 'ERROR', message: 'no answer' },
      attributes: {
        'error.type': 'PARTNER_DOWN',
        'throughline.job.outcome': 'retry',
        'throughline.job.outcome.reason': 'PARTNER_DOWN: no answer',
      },
      events: [{ name: 'exception', attributes: { 'exception.message': 'no answer' } }],
    });
  });

  test('for good is dead-lettered at once with its error', async () => {
    await working(async () => {
      throw new CardRefusedError('no credit');
    });
    source.deliver({ attributes: TYPED });
    await turn();
    expect(settlements()).toEqual(['ack m1']);
    expect(sink.messages[0]?.attributes).toMatchObject({
      'dead-letter-reason': 'CARD_REFUSED: no credit',
      'dead-letter-error-type': 'CARD_REFUSED',
    });
    expect(await telemetry.sum('throughline.dead_letters', { 'error.type': 'CARD_REFUSED' })).toBe(1);
  });

  test('at its last attempt is dead-lettered', async () => {
    await working(async () => {
      throw new Error('down');
    });
    for (const deliveryAttempt of [1, 2, 3]) source.deliver({ id: 'm', attributes: TYPED, deliveryAttempt });
    await turn();
    expect(settlements()).toEqual(['nack m', 'nack m', 'ack m']);
    expect(reasonOf(0)).toBe('gave up after 3 attempts: Error: down');
  });

  test('is counted here where Pub/Sub does not count', async () => {
    await working(async () => {
      throw new Error('down');
    });
    for (let i = 0; i < 3; i++) source.deliver({ id: 'm', attributes: TYPED });
    await turn();
    expect(settlements()).toEqual(['nack m', 'nack m', 'ack m']);
  });

  test.each([[Object.create(null)], [undefined], ['text'], [Symbol('s')]])(
    'by throwing %o ends as a dead letter, not in an endless loop',
    async (thrown) => {
      await working(() => {
        throw thrown;
      });
      for (const deliveryAttempt of [1, 2, 3])
        source.deliver({ id: 'm', attributes: TYPED, deliveryAttempt });
      await turn();
      expect(settlements()).toEqual(['nack m', 'nack m', 'ack m']);
    },
  );

  test('by returning nothing is told of its contract', async () => {
    await working((async () => {}) as unknown as Handle);
    source.deliver({ attributes: TYPED });
    await turn();
    expect(settlements()).toEqual(['ack m1']);
    expect(reasonOf(0)).toMatch(/^HANDLER_CONTRACT: the handler of mail\.send\.v1 returned nothing/);
  });

  test('after its time-out is retried, and may not end twice', async () => {
    const slow = defineJob({
      ...{ name: 'slow', version: 1, topic: 'jobs', payload: z.unknown() },
      timeoutMs: 50,
    });
    prepare();
    const { handle, end } = manual();
    worker.handle(slow, handle as never);
    await worker.start();
    source.deliver({ attributes: { 'ce-type': 'slow.v1' } });
    await vi.advanceTimersByTimeAsync(1_100);
    expect(settlements()).toEqual(['nack m1']);
    await end('m1');
    expect(settlements()).toEqual(['nack m1']);
    expect((await telemetry.span('process jobs')).attributes).toMatchObject({
      'error.type': 'HANDLER_TIMEOUT',
    });
  });
});

describe('a message that nobody can handle', () => {
  test.each([
    [
      'of an unknown type',
      { attributes: { 'ce-type': 'other.v1' } },
      /JOB_UNKNOWN: no handler for "other\.v1"; .*mail\.send\.v1/,
    ],
    [
      'of an unknown version',
      { attributes: { 'ce-type': 'mail.send.v2' } },
      /JOB_UNKNOWN: no handler for "mail\.send\.v2"/,
    ],
    ['without a type', { attributes: {} }, /JOB_UNKNOWN: the message has no "ce-type"/],
    ['named like a built-in', { attributes: { 'ce-type': '__proto__' } }, /JOB_UNKNOWN/],
    ['that is not JSON', { attributes: TYPED, data: Buffer.from('{') }, /PAYLOAD_INVALID.*expected JSON/],
    [
      'that is not UTF-8',
      { attributes: TYPED, data: Buffer.from([0xff]) },
      /PAYLOAD_INVALID.*expected UTF-8/,
    ],
    ['without data', { attributes: TYPED, data: new Uint8Array() }, /PAYLOAD_INVALID/],
    [
      'that the schema refuses',
      { attributes: TYPED, data: Buffer.from('{"n":"x"}') },
      /PAYLOAD_INVALID.*n: /,
    ],
  ])('%s is dead-lettered with the reason and kept as it was', async (_what, given, reason) => {
    const handle = vi.fn(async () => done());
    await working(handle);
    const message = source.deliver(given);
    await turn();
    expect(handle).not.toHaveBeenCalled();
    expect(settlements()).toEqual(['ack m1']);
    expect(reasonOf(0)).toMatch(reason);
    const dead = {
      orderingKey: undefined,
      ...sink.messages[0],
      data: sink.messages[0]?.data ?? new Uint8Array(),
    };
    expect(fromDeadLetter({ ...dead, attributes: dead.attributes ?? {} })).toEqual({
      data: message.data,
      attributes: message.attributes,
    });
    expect((await telemetry.span('process jobs')).status.code).toBe('ERROR');
  });
});

describe('when dead-lettering itself fails', () => {
  test('the message is not acked but retried, until the letter is stored', async () => {
    sink.refuse(new Error('topic is gone'));
    await working(async () => deadLetter('x'));
    source.deliver({ attributes: TYPED });
    await turn();
    expect(settlements()).toEqual(['nack m1']);
    expect(source.settlements[0]?.afterMs).toBeGreaterThan(0);
    expect((await telemetry.span('process jobs')).attributes['throughline.job.outcome.reason']).toBe(
      'dead-lettering failed: topic is gone',
    );
    sink.refuse(undefined);
    source.deliver({ attributes: TYPED });
    await turn();
    expect(settlements()).toEqual(['nack m1', 'ack m2']);
  });

  test('because the hook of the job failed, the letter is not sent', async () => {
    const onDeadLetter = vi.fn(async () => {
      throw new Error('compensation failed');
    });
    await working(async () => deadLetter('x'), {}, { onDeadLetter });
    source.deliver({ attributes: TYPED });
    await turn();
    expect(settlements()).toEqual(['nack m1']);
    expect(sink.requests).toEqual([]);
  });

  test('a hook that works gets payload, ids and reason before the letter is sent', async () => {
    const onDeadLetter = vi.fn(async () => {
      expect(sink.requests).toEqual([]);
    });
    await working(async () => deadLetter('x'), {}, { onDeadLetter });
    source.deliver({ attributes: { ...TYPED, 'ce-subject': 'order-1' } });
    await turn();
    const hooked = { payload: { n: 7 }, jobId: 'job-1', orderKey: 'order-1', attempt: 1 };
    expect(onDeadLetter).toHaveBeenCalledExactlyOnceWith(expect.objectContaining(hooked), 'x', undefined);
    expect(settlements()).toEqual(['ack m1']);
  });

  test('a hook is not troubled with a payload that nobody can read', async () => {
    const onDeadLetter = vi.fn(async () => {});
    await working(async () => done(), {}, { onDeadLetter });
    source.deliver({ attributes: TYPED, data: Buffer.from('{') });
    await turn();
    expect(onDeadLetter).not.toHaveBeenCalled();
    expect(settlements()).toEqual(['ack m1']);
  });
});

describe('tracing', () => {
  test('the process span is active inside the handler, and continues the trace of the sender', async () => {
    let inside: unknown;
    let orderKey: string | undefined;
    await working(async () => {
      await Promise.resolve();
      inside = trace.getSpan(context.active())?.spanContext().spanId;
      orderKey = propagation.getBaggage(context.active())?.getEntry('order.event_id')?.value;
      return done();
    });
    source.deliver({
      attributes: { ...TRACED, baggage: 'order.event_id=order-1,secret=s' },
      deliveryAttempt: 1,
    });
    await turn();
    const span = await telemetry.span('process jobs');
    expect(span).toMatchObject({
      kind: 'CONSUMER',
      traceId: SENDER.traceId,
      parentSpanId: SENDER.spanId,
      links: [{ ...SENDER, attributes: { 'throughline.link.reason': 'producer' } }],
      status: { code: 'UNSET' },
    });
    expect(span.attributes).toEqual({
      'messaging.system': 'gcp_pubsub',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'jobs',
      'messaging.destination.subscription.name': 'jobs-worker',
      'messaging.message.id': 'm1',
      'messaging.message.body.size': 2,
      'messaging.gcp_pubsub.message.delivery_attempt': 1,
      'throughline.job.name': 'mail.send',
      'throughline.job.version': 1,
      'throughline.job.id': 'job-1',
      'throughline.job.attempt': 1,
      'throughline.job.outcome': 'done',
      'order.event_id': 'order-1',
    });
    expect(inside).toBe(span.spanId);
    expect(orderKey).toBe('order-1');
  });

  test('what the publisher sends and the worker processes is one trace', async () => {
    await working(async () => done());
    const outbox = createMemorySink();
    const published = createPublisher({ sink: outbox, source: 'shop' }).publish(
      job,
      {},
      { orderKey: 'order-1' },
    );
    await turn();
    await published;
    const [message] = outbox.messages;
    source.deliver({ ...message, orderingKey: undefined });
    await turn();
    const [send, process] = [await telemetry.span('send jobs'), await telemetry.span('process jobs')];
    expect(process).toMatchObject({ traceId: send.traceId, parentSpanId: send.spanId });
    expect(process.attributes['order.event_id']).toBe('order-1');
  });

  test('late work begins a trace of its own, linked to its producer, and keeps the order key', async () => {
    await working(async () => done(), { continueWithinMs: 1_000 });
    const nowMs = Date.now();
    const attributes = { ...TRACED, 'ce-subject': 'order-1' };
    source.deliver({ attributes, publishedAtMs: nowMs - 1_001, receivedAtMs: nowMs });
    await turn();
    const span = await telemetry.span('process jobs');
    expect(span).not.toHaveProperty('parentSpanId');
    expect(span.traceId).not.toBe(SENDER.traceId);
    expect(span.links).toMatchObject([{ ...SENDER, attributes: { 'throughline.link.reason': 'producer' } }]);
    expect(span.attributes['order.event_id']).toBe('order-1');
  });

  test('work that is just in time continues the trace', async () => {
    await working(async () => done(), { continueWithinMs: 1_000 });
    const nowMs = Date.now();
    source.deliver({ attributes: TRACED, publishedAtMs: nowMs - 1_000, receivedAtMs: nowMs });
    await turn();
    expect((await telemetry.span('process jobs')).traceId).toBe(SENDER.traceId);
  });

  test('a message without context is a root without links', async () => {
    await working(async () => done());
    source.deliver({ attributes: TYPED });
    await turn();
    const span = await telemetry.span('process jobs');
    expect(span).toMatchObject({ links: [], attributes: { 'throughline.context.source': 'none' } });
    expect(span).not.toHaveProperty('parentSpanId');
  });

  test("Google's own context beside ours is linked", async () => {
    await working(async () => done());
    const googclient_traceparent = `00-${SENDER.traceId}-${'c'.repeat(16)}-01`;
    source.deliver({ attributes: { ...TRACED, googclient_traceparent } });
    await turn();
    const { links, parentSpanId } = await telemetry.span('process jobs');
    expect(parentSpanId).toBe(SENDER.spanId);
    expect(links.map(({ spanId, attributes }) => [spanId, attributes['throughline.link.reason']])).toEqual([
      [SENDER.spanId, 'producer'],
      ['c'.repeat(16), 'google-client'],
    ]);
  });

  test.each([
    ['in the trace of their sender', TRACED, 1],
    ['without context', TYPED, undefined],
  ])('attempts are linked to the one before, also across workers: %s', async (_what, attributes, _n) => {
    const failing = async () => retry('again', { afterMs: 1 });
    await working(failing);
    source.deliver({ id: 'm', attributes, deliveryAttempt: 1 });
    await turn();
    await worker.stop();
    await working(failing);
    source.deliver({ id: 'm', attributes, deliveryAttempt: 2 });
    await turn();
    const [first, second] = await telemetry.spans();
    expect(second?.links.at(-1)).toEqual({
      traceId: first?.traceId,
      spanId: first?.spanId,
      attributes: { 'throughline.link.reason': 'previous-attempt' },
    });
  });

  test('the dead letter names the span of the dead delivery, and is sent below it', async () => {
    await working(async () => deadLetter('x'));
    source.deliver({ attributes: TRACED });
    await turn();
    const [process, send] = [await telemetry.span('process jobs'), await telemetry.span('send jobs-dead')];
    expect(send.parentSpanId).toBe(process.spanId);
    expect(sink.messages[0]?.attributes['dead-letter-traceparent']).toBe(
      `00-${process.traceId}-${process.spanId}-01`,
    );
  });

  test('hostile attributes fail nothing', async () => {
    await working(async () => done());
    const attributes = {
      ...TYPED,
      traceparent: `00-${'0'.repeat(32)}-zz`,
      tracestate: '=,'.repeat(400),
      baggage: `${'x'.repeat(900)}`,
      googclient_traceparent: '',
      'ce-subject': 'x'.repeat(1_024),
    };
    source.deliver({ attributes });
    await turn();
    expect(settlements()).toEqual(['ack m1']);
    expect((await telemetry.span('process jobs')).attributes).not.toHaveProperty('order.event_id');
  });
});

describe('concurrency', () => {
  test('is bounded', async () => {
    const { handle, running, end } = manual();
    await working(handle, { maxInFlight: 2 });
    for (let i = 0; i < 5; i++) source.deliver({ attributes: TYPED });
    await turn();
    expect(running()).toEqual(['m1', 'm2']);
    await end('m1');
    expect(running()).toEqual(['m2', 'm3']);
    for (const id of ['m2', 'm3', 'm4', 'm5']) await end(id);
  });

  test('messages of one key run one after another, also across retries', async () => {
    const { handle, running, end, started } = manual();
    await working(handle);
    for (const orderingKey of ['a', 'a', 'b']) source.deliver({ attributes: TYPED, orderingKey });
    await turn();
    expect(running()).toEqual(['m1', 'm3']);
    await end('m1', retry('again', { afterMs: 500 }));
    expect(running()).toEqual(['m3']);
    expect(settlements()).toEqual([]);
    await vi.advanceTimersByTimeAsync(500);
    expect(running()).toEqual(['m3', 'm1']);
    await end('m1');
    expect(started).toEqual(['m1', 'm3', 'm1', 'm2']);
    await end('m2', deadLetter('x'));
    await end('m3');
    expect(settlements()).toEqual(['ack m1', 'ack m2', 'ack m3']);
    expect(settled.map(({ attempt }) => attempt)).toEqual([2, 1, 1]);
  });

  test('a retry that would hold its key beyond its lease is handed back with those behind it', async () => {
    const { handle, end } = manual();
    await working(handle, { maxLeaseMs: 60_000 });
    for (let i = 0; i < 3; i++) source.deliver({ attributes: TYPED, orderingKey: 'a' });
    await turn();
    await end('m1', retry('tomorrow', { afterMs: 60_001 }));
    expect(source.settlements).toMatchObject([
      { kind: 'nack', message: { id: 'm1' }, afterMs: 60_001 },
      { kind: 'nack', message: { id: 'm2' }, afterMs: 60_001 },
      { kind: 'nack', message: { id: 'm3' }, afterMs: 60_001 },
    ]);
  });

  test('tries that were made here count when the message comes back', async () => {
    const { handle, end } = manual();
    await working(handle, { maxLeaseMs: 100_000 });
    source.deliver({ id: 'm', attributes: TYPED, orderingKey: 'a', deliveryAttempt: 1 });
    await turn();
    await end('m', retry('soon', { afterMs: 100 }));
    await vi.advanceTimersByTimeAsync(100);
    await end('m', retry('tomorrow', { afterMs: 100_000 }));
    source.deliver({ id: 'm', attributes: TYPED, orderingKey: 'a', deliveryAttempt: 2 });
    await turn();
    await end('m', retry('again', { afterMs: 100 }));
    expect(settlements()).toEqual(['nack m', 'ack m']);
    expect(reasonOf(0)).toBe('gave up after 3 attempts: again');
  });

  test('leases of what waits and of what runs are extended, and no longer once it is settled', async () => {
    const { handle, end } = manual();
    await working(handle, { maxInFlight: 1 });
    source.deliver({ attributes: TYPED });
    source.deliver({ attributes: TYPED });
    await vi.advanceTimersByTimeAsync(20_000);
    expect(source.extensions).toEqual([['m1', 'm2']]);
    await end('m1');
    await vi.advanceTimersByTimeAsync(20_000);
    expect(source.extensions.at(-1)).toEqual(['m2']);
    await end('m2');
  });

  test('a message whose lease was lost while it waited is not run, for Pub/Sub redelivers it', async () => {
    const { handle, end, started } = manual();
    await working(handle, { maxInFlight: 1, maxLeaseMs: 40_000 });
    source.deliver({ attributes: TYPED });
    source.deliver({ attributes: TYPED });
    await vi.advanceTimersByTimeAsync(60_000);
    await end('m1');
    expect(started).toEqual(['m1']);
    expect(settlements()).toEqual(['ack m1']); // late, and worth a try
    source.deliver({ attributes: TYPED });
    await turn();
    await end('m3');
    expect(settlements()).toEqual(['ack m1', 'ack m3']);
  });

  test('a job that is retried here is not retried beyond its lease', async () => {
    const handle = vi.fn(async () => retry('again', { afterMs: 30_000 }));
    sink.refuse(new Error('no dead letters either'));
    await working(handle, { maxLeaseMs: 40_000 });
    source.deliver({ attributes: TYPED, orderingKey: 'a' });
    await vi.advanceTimersByTimeAsync(600_000);
    expect(handle.mock.calls.length).toBeLessThan(4);
  });
});

describe('faults around the handler', () => {
  test("a failing middleware of the user's is classified like a failing handler", async () => {
    const middleware = [() => async () => Promise.reject(new CardRefusedError('from middleware'))];
    await working(async () => done(), { middleware });
    source.deliver({ attributes: TYPED });
    await turn();
    expect(reasonOf(0)).toBe('CARD_REFUSED: from middleware');
  });

  test('the first middleware is outermost, and all see the delivery inside the process span', async () => {
    const seen: string[] = [];
    const layer = (name: string) => (next: (d: Delivery, s: AbortSignal) => Promise<Outcome>) => {
      return async (delivery: Delivery, signal: AbortSignal) => {
        seen.push(`${name} ${delivery.jobId} ${trace.getActiveSpan() !== undefined}`);
        return next(delivery, signal);
      };
    };
    await working(async () => done(), { middleware: [layer('a'), layer('b')] });
    source.deliver({ attributes: TYPED });
    await turn();
    expect(seen).toEqual(['a job-1 true', 'b job-1 true']);
  });

  test('an observer that throws neither loses the slot nor ends the process', async () => {
    await working(async () => done(), {
      maxInFlight: 1,
      onSettled: () => {
        throw new Error('observer');
      },
    });
    source.deliver({ attributes: TYPED });
    source.deliver({ attributes: TYPED });
    await turn();
    expect(settlements()).toEqual(['ack m1', 'ack m2']);
  });

  test('a fault of the source is counted and logged, and work goes on', async () => {
    const lines: string[] = [];
    const destination = { write: (line: string) => void lines.push(line) };
    const logger = createLogger({ serviceName: 'w', level: 'info', destination });
    await working(async () => done(), { logger });
    source.fail(new Error('stream broke'));
    source.deliver({ attributes: TYPED });
    await turn();
    expect(await telemetry.sum('throughline.source.errors')).toBe(1);
    expect(lines.join()).toContain('stream broke');
    expect(settlements()).toEqual(['ack m1']);
  });

  test('two handlers for one job are refused', async () => {
    await working(async () => done());
    expect(() => worker.handle(job, async () => done())).toThrow(DuplicateHandlerError);
  });

  test('outcomes are counted', async () => {
    await working(async () => done());
    source.deliver({ attributes: TYPED });
    source.deliver({ attributes: {} });
    await turn();
    const counted = (kind: string) =>
      telemetry.sum('messaging.client.consumed.messages', { 'throughline.job.outcome': kind });
    expect([await counted('done'), await counted('deadLetter')]).toEqual([1, 1]);
  });
});

describe('stopping', () => {
  test('hands back what was not started and waits for what runs', async () => {
    const { handle, end, signals } = manual();
    await working(handle, { maxInFlight: 1 });
    for (let i = 0; i < 3; i++) source.deliver({ attributes: TYPED });
    await turn();
    const stopped = worker.stop();
    await turn();
    expect(source.calls).toEqual(['start', 'pause']);
    expect(settlements()).toEqual(['nack m2', 'nack m3']);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(signals[0]?.aborted).toBe(false);
    expect(source.extensions.flat()).toContain('m1');
    await end('m1');
    expect(await stopped).toEqual({ handedBack: 2 });
    expect(settlements()).toEqual(['nack m2', 'nack m3', 'ack m1']);
    expect(source.calls.at(-1)).toBe('close');
  });

  test('aborts what still runs after the grace, and hands it back at once when it heeds', async () => {
    await working((_delivery, signal) => rejectOnAbort(signal), { drainTimeoutMs: 5_000 });
    source.deliver({ attributes: TYPED, deliveryAttempt: 3 });
    const stopped = worker.stop();
    await vi.advanceTimersByTimeAsync(4_999);
    expect(settlements()).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await stopped).toEqual({ handedBack: 1 });
    expect(source.settlements).toMatchObject([{ kind: 'nack', afterMs: 0 }]);
    expect(sink.requests).toEqual([]);
  });

  test('hands back what does not heed, once, even if it ends later', async () => {
    const { handle, end, signals } = manual();
    await working(handle, { drainTimeoutMs: 0 });
    source.deliver({ attributes: TYPED });
    await turn();
    const stopped = worker.stop();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(await stopped).toEqual({ handedBack: 1 });
    expect(signals[0]?.reason).toBeInstanceOf(WorkerStoppingError);
    await end('m1');
    expect(settlements()).toEqual(['nack m1']);
  });

  test('a grace without end waits for the handlers instead of aborting them at once', async () => {
    const { handle, end, signals } = manual();
    await working(handle, { drainTimeoutMs: Number.POSITIVE_INFINITY });
    source.deliver({ attributes: TYPED });
    await turn();
    const stopped = worker.stop();
    await vi.advanceTimersByTimeAsync(3_000_000);
    expect(signals[0]?.aborted).toBe(false);
    await end('m1');
    await stopped;
  });

  test('hands back an ordered job that waits for its next try, with those behind it', async () => {
    const { handle, end } = manual();
    await working(handle);
    source.deliver({ attributes: TYPED, orderingKey: 'a' });
    source.deliver({ attributes: TYPED, orderingKey: 'a' });
    await turn();
    await end('m1', retry('again', { afterMs: 30_000 }));
    expect(await worker.stop()).toEqual({ handedBack: 2 });
    expect(settlements()).toEqual(['nack m1', 'nack m2']);
  });

  test('an ordered job that fails meanwhile is handed back with its delay, and not run again', async () => {
    const { handle, end, started } = manual();
    await working(handle);
    source.deliver({ attributes: TYPED, orderingKey: 'a' });
    await turn();
    const stopped = worker.stop();
    await end('m1', retry('again', { afterMs: 700 }));
    await stopped;
    expect(source.settlements).toMatchObject([{ kind: 'nack', afterMs: 700 }]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(started).toEqual(['m1']);
  });

  test('hands back at once what arrives meanwhile', async () => {
    const { handle, end } = manual();
    await working(handle);
    source.deliver({ attributes: TYPED });
    await turn();
    const stopped = worker.stop();
    source.deliver({ attributes: TYPED });
    expect(settlements()).toEqual(['nack m2']);
    await end('m1');
    await stopped;
  });

  test('twice is once', async () => {
    await working(async () => done());
    const [first, second] = await Promise.all([worker.stop(), worker.stop()]);
    expect(second).toBe(first);
    expect(source.calls).toEqual(['start', 'pause', 'close']);
  });

  test('before the start is nothing, and a start afterwards is refused', async () => {
    prepare();
    expect(await worker.stop()).toEqual({ handedBack: 0 });
    await expect(worker.start()).rejects.toThrow(WorkerStoppingError);
    expect(source.calls).not.toContain('start');
  });

  test('while it starts leaves nothing that pulls', async () => {
    const check = Promise.withResolvers<void>();
    prepare({}, { starting: check.promise });
    const started = worker.start();
    const stopped = worker.stop();
    await turn();
    check.resolve();
    await started;
    await stopped;
    expect(source.calls).toEqual(['start', 'pause', 'close', 'pause']);
  });
});

describe('starting', () => {
  test('twice is once', async () => {
    await working(async () => done());
    await worker.start();
    expect(source.calls).toEqual(['start']);
  });

  test('fails with the fault of the source and keeps no timer alive', async () => {
    prepare({}, { starting: Promise.reject(new Error('no such subscription')) });
    await expect(worker.start()).rejects.toThrow('no such subscription');
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('settles every message exactly once and keeps the order of keys, however it goes (W1, W2, W3)', async () => {
  const delivery = fc.record({
    key: fc.constantFrom(undefined, 'a', 'b'),
    takesMs: fc.constantFrom(0, 1, 40, 400),
    ends: fc.constantFrom('done', 'done', 'retry', 'throw', 'dead', 'garbage', 'deaf'),
    pauseMs: fc.constantFrom(0, 0, 5, 50),
  });
  const settings = fc.record({
    maxInFlight: fc.integer({ min: 1, max: 3 }),
    drainTimeoutMs: fc.constantFrom(0, 30, 5_000),
    stopAfter: fc.nat(15),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(delivery, { maxLength: 15 }),
      settings,
      async (plans, { stopAfter, ...options }) => {
        const order: string[] = [];
        const runningKeys = new Set<string>();
        const messages: IncomingMessage[] = [];
        sink = createMemorySink();
        prepare(options);
        worker.handle(job, async ({ payload: { n }, message }, signal) => {
          const plan = plans[n];
          if (!plan) throw new Error('no plan');
          if (plan.key !== undefined) {
            expect(runningKeys.has(plan.key), 'two of one key run at once').toBe(false);
            runningKeys.add(plan.key);
            order.push(`${plan.key}${n}`);
          }
          try {
            await delay(plan.takesMs, plan.ends === 'deaf' ? undefined : signal);
          } finally {
            if (plan.key !== undefined) runningKeys.delete(plan.key);
          }
          if (plan.ends === 'throw') throw new Error(`failed ${message.id}`);
          if (plan.ends === 'retry') return retry('again', { afterMs: 20 });
          if (plan.ends === 'dead') return deadLetter('x');
          if (plan.ends === 'garbage') return undefined as never;
          return done();
        });
        await worker.start();
        let stopped: Promise<unknown> | undefined;
        for (const [n, { key, pauseMs }] of plans.entries()) {
          if (n === stopAfter) stopped = worker.stop();
          const data = Buffer.from(JSON.stringify({ n }));
          messages.push(source.deliver({ attributes: TYPED, data, orderingKey: key, deliveryAttempt: 1 }));
          await vi.advanceTimersByTimeAsync(pauseMs);
        }
        stopped ??= worker.stop();
        await vi.advanceTimersByTimeAsync(30_000);
        await stopped;
        expect(source.settlements.map(({ message }) => message.id).toSorted()).toEqual(
          messages.map(({ id }) => id).toSorted(),
        );
        for (const key of ['a', 'b']) {
          const ran = order.filter((one) => one.startsWith(key)).map((one) => Number(one.slice(1)));
          expect(ran).toEqual(ran.toSorted((a, b) => a - b));
        }
        const buried = new Set(sink.messages.map(({ attributes }) => attributes['dead-letter-message-id']));
        for (const { kind, message } of source.settlements) {
          const { ends = '' } = plans[messages.indexOf(message)] ?? {};
          if (kind === 'nack' || ends === 'done' || ends === 'deaf') continue;
          expect(buried, `${ends} was acked, so its letter is stored`).toContain(message.id);
        }
        expect(vi.getTimerCount()).toBe(0);
      },
    ),
    { numRuns: 120 },
  );
});

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });
}

function delay(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
