import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { type Sampler, SamplingDecision } from '@opentelemetry/sdk-trace-base';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineSaga, readSaga, skip, suspend } from '../../publisher/saga/index.ts';
import { inSpan, startTelemetry, type Telemetry } from '../../shared/index.ts';
import { createSpanCollector, normalisedTree, type SpanRecord } from '../../testing/index.ts';
import { createSagaLab, type LabEngine, type SagaLab } from '../support/saga-lab.ts';

const collector = createSpanCollector();
let lab: SagaLab;
let telemetry: Telemetry;

function observe(sampler?: Sampler): void {
  collector.reset();
  telemetry = startTelemetry({
    serviceName: 'shop',
    exporters: [{ ...collector, shutdown: async () => {} }],
    batch: { scheduledDelayMs: 10 },
    ...(sampler && { sampler }),
  });
}

beforeAll(async () => {
  lab = await createSagaLab();
});
afterEach(async () => {
  await lab.reset();
  await telemetry.shutdown();
});
afterAll(() => lab.close());

const refused = Object.assign(new Error('the registrar refuses'), {
  code: 'DOMAIN_TAKEN',
  retryable: false,
  effect: 'none',
});
const input = z.object({ wait: z.boolean().default(false), fail: z.boolean().default(false) });
const hooks = { acquire: async () => {} };
const order = defineSaga({ name: 'order', version: 1, input })
  .step('redeem-card', { run: async () => 'card', compensate: async () => {} })
  .step('settle-payment', {
    run: async ({ input: { wait } }) =>
      wait ? suspend('3ds', { timeoutMs: 60_000, data: null }) : 'paid at once',
    signal: { name: '3ds', payload: z.null(), resume: async () => inSpan('capture', {}, async () => 'paid') },
    compensate: async () => inSpan('refund', {}, async () => {}),
  })
  .step('acquire-domain', {
    run: async ({ input: { fail } }) => {
      await hooks.acquire();
      if (fail) throw refused;
    },
    compensate: skip('a domain once acquired stays acquired'),
  })
  .build();

async function place(engine: LabEngine, key: string, facts: z.input<typeof input>): Promise<string> {
  return context.with(ROOT_CONTEXT, () =>
    inSpan('place order', {}, async () => (await engine.begin(order, facts, { orderKey: key })).sagaId),
  );
}

async function spansOf(): Promise<readonly SpanRecord[]> {
  await telemetry.flush();
  return collector.spans;
}

const named = (spans: readonly SpanRecord[], name: string) => {
  const found = spans.filter((span) => span.name === name);
  expect(found.map((span) => span.name)).toEqual([name]);
  return found[0] as SpanRecord;
};
const idsOf = ({ traceId, spanId }: SpanRecord) => ({ traceId, spanId });

describe('in a sampled trace', () => {
  test('a confirmed saga is its steps below one span, below what placed the order', async () => {
    observe();
    const engine = await lab.start([order]);
    const sagaId = await place(engine, 'o-1', {});
    await engine.ended(sagaId, { timeoutMs: 5_000 });
    const spans = await spansOf();
    expect(normalisedTree(spans)).toMatchInlineSnapshot(`
      "place order [shop]
        saga order [shop]
          step redeem-card [shop]
          step settle-payment [shop]
          step acquire-domain [shop]"
    `);
    const saga = named(spans, 'saga order');
    expect(saga.attributes).toMatchObject({
      'order.event_id': 'o-1',
      'saga.id': sagaId,
      'saga.outcome': 'confirmed',
      'saga.wait_ms': 0,
    });
    expect(saga.traceId).toBe((await readSaga(lab.db.database, sagaId))?.traceId);
    const step = named(spans, 'step redeem-card');
    expect(step.attributes).toMatchObject({
      'order.event_id': 'o-1',
      'saga.id': sagaId,
      'saga.step': 'redeem-card',
    });
    expect(saga.startMs).toBeLessThanOrEqual(step.startMs);
    // A saga's own times are whole milliseconds.
    expect(saga.endMs).toBeGreaterThanOrEqual(Math.floor(named(spans, 'step acquire-domain').endMs));
  });

  test('each compensation names and links the step that it undoes, and links the one that failed', async () => {
    observe();
    const engine = await lab.start([order]);
    await engine.ended(await place(engine, 'o-2', { fail: true }), { timeoutMs: 5_000 });
    const spans = await spansOf();
    expect(normalisedTree(spans)).toMatchInlineSnapshot(`
      "place order [shop]
        saga order [shop] error=DOMAIN_TAKEN link:failed-step→step acquire-domain
          step redeem-card [shop]
          step settle-payment [shop]
          step acquire-domain [shop] error=DOMAIN_TAKEN
          compensate settle-payment [shop] link:undoes→step settle-payment link:failed-step→step acquire-domain
            refund [shop]
          compensate redeem-card [shop] link:undoes→step redeem-card link:failed-step→step acquire-domain"
    `);
    const failing = named(spans, 'step acquire-domain');
    for (const step of ['redeem-card', 'settle-payment']) {
      const undone = named(spans, `step ${step}`);
      const compensation = named(spans, `compensate ${step}`);
      expect(compensation.attributes).toMatchObject({
        'saga.compensation.original_trace_id': undone.traceId,
        'saga.compensation.original_span_id': undone.spanId,
      });
      expect(compensation.links).toMatchObject([idsOf(undone), idsOf(failing)]);
    }
  });

  test('a saga that waits is resumed in its own trace, and linked both ways with what brought the signal', async () => {
    observe();
    const engine = await lab.start([order]);
    const sagaId = await place(engine, 'o-3', { wait: true });
    await lab.reaches(sagaId, 'waiting');
    await context.with(ROOT_CONTEXT, () =>
      inSpan('bank returns', {}, () => engine.signal(sagaId, '3ds', null)),
    );
    await engine.ended(sagaId, { timeoutMs: 5_000 });
    const spans = await spansOf();
    expect(normalisedTree(spans)).toMatchInlineSnapshot(`
      "place order [shop]
        saga order [shop] link:caused-by→bank returns
          step redeem-card [shop]
          step settle-payment [shop]
          resume order [shop] link:caused-by→bank returns
            capture [shop]
          step acquire-domain [shop]
      bank returns [shop] link:caused-by→saga order"
    `);
    const [saga, callback] = [named(spans, 'saga order'), named(spans, 'bank returns')];
    expect(callback.traceId).not.toBe(saga.traceId);
    expect(callback.links).toMatchObject([idsOf(saga)]);
    expect(named(spans, 'resume order').links).toMatchObject([idsOf(callback)]);
    const step = named(spans, 'step settle-payment');
    const waitMs = Number(step.attributes['saga.wait_ms']);
    expect(waitMs).toBeGreaterThan(0);
    expect(waitMs).toBeLessThanOrEqual(step.endMs - step.startMs);
    expect(step.events).toMatchObject([{ name: 'waited', attributes: { 'saga.wait_ms': waitMs } }]);
    expect(saga.attributes['saga.wait_ms']).toBe(waitMs);
    expect(saga.events.map(({ name }) => name)).toEqual(['suspended', 'signalled']);
  });

  test('a saga that was taken over is one tree, in which each attempt has one id', async () => {
    observe();
    const first = await lab.start([order]);
    const reached = Promise.withResolvers<void>();
    let runs = 0;
    hooks.acquire = () => {
      runs += 1;
      reached.resolve();
      return runs === 1 ? new Promise(() => {}) : Promise.resolve();
    };
    const sagaId = await place(first, 'o-4', {});
    await reached.promise;
    await lab.kill(first);
    const second = await lab.start([order]);
    expect(await second.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
    hooks.acquire = async () => {};
    const unique = [...new Map((await spansOf()).map((span) => [span.spanId, span])).values()];
    expect(normalisedTree(unique)).toMatchInlineSnapshot(`
      "place order [shop]
      saga order [shop] link:caused-by→place order
        step redeem-card [shop]
        step settle-payment [shop]
        step acquire-domain [shop]"
    `);
    const saga = named(unique, 'saga order');
    expect(saga.parentSpanId).toBeUndefined();
    expect(saga.traceId).toBe(named(unique, 'place order').traceId);
    expect(saga.events).toMatchObject([
      { name: 'interrupted', attributes: { 'saga.interrupted.cause': 'process-lost' } },
    ]);
  });
});

describe('in a trace that is not sampled', () => {
  const nothing: Sampler = {
    shouldSample: () => ({ decision: SamplingDecision.NOT_RECORD }),
    toString: () => 'Nothing',
  };

  test('a failed saga is told from the journal, with its true ids and times', async () => {
    observe(nothing);
    const engine = await lab.start([order]);
    const sagaId = await place(engine, 'o-5', { wait: true, fail: true });
    await lab.reaches(sagaId, 'waiting');
    await engine.signal(sagaId, '3ds', null);
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('compensated');
    const spans = await spansOf();
    // Times are whole milliseconds there: what shares one has no order.
    expect(new Set(normalisedTree(spans).split('\n'))).toEqual(
      new Set([
        'saga order [shop] error=DOMAIN_TAKEN link:failed-step→step acquire-domain link:caused-by→(never reported)',
        '  step redeem-card [shop]',
        '  step settle-payment [shop]',
        '  step acquire-domain [shop] error=DOMAIN_TAKEN',
        '  compensate settle-payment [shop] link:undoes→step settle-payment link:failed-step→step acquire-domain',
        '  compensate redeem-card [shop] link:undoes→step redeem-card link:failed-step→step acquire-domain',
      ]),
    );
    const saga = named(spans, 'saga order');
    expect(saga.attributes).toMatchObject({ 'order.event_id': 'o-5', 'saga.outcome': 'compensated' });
    for (const event of await lab.events(sagaId)) {
      if (!('endMs' in event)) continue;
      const isUndo = event.kind === 'undone' || event.kind === 'undo-failed';
      const span = named(spans, `${isUndo ? 'compensate' : 'step'} ${event.step}`);
      expect(event.span['traceparent']).toContain(`${span.traceId}-${span.spanId}`);
      expect(span).toMatchObject({ startMs: event.startMs, endMs: event.endMs, parentSpanId: saga.spanId });
    }
    const undone = named(spans, 'step redeem-card');
    expect(named(spans, 'compensate redeem-card').attributes).toMatchObject({
      'saga.compensation.original_trace_id': undone.traceId,
      'saga.compensation.original_span_id': undone.spanId,
    });
  });

  test('a confirmed saga stays silent', async () => {
    observe(nothing);
    const engine = await lab.start([order]);
    const sagaId = await place(engine, 'o-6', {});
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
    expect(await spansOf()).toEqual([]);
    expect(trace.getActiveSpan()).toBeUndefined();
  });
});
