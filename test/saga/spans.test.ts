import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { type Sampler, SamplingDecision } from '@opentelemetry/sdk-trace-base';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { AttemptSpan } from '../../publisher/saga/event.ts';
import { defineSaga, readSaga, skip, suspend } from '../../publisher/saga/index.ts';
import {
  defineJob,
  inSpan,
  startTelemetry,
  type Telemetry,
  type TelemetryOptions,
} from '../../shared/index.ts';
import {
  createSpanCollector,
  findDisconnections,
  normalisedTree,
  type SpanRecord,
} from '../../testing/index.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { createSagaLab, type LabEngine, type SagaLab } from '../support/saga-lab.ts';

const collector = createSpanCollector();
let lab: SagaLab;
let telemetry: Telemetry;

function observe(options: Pick<TelemetryOptions, 'sampler' | 'sampling'> = {}): void {
  collector.reset();
  telemetry = startTelemetry({
    serviceName: 'shop',
    exporters: [{ ...collector, shutdown: async () => {} }],
    batch: { scheduledDelayMs: 10 },
    ...options,
  });
}

beforeAll(async () => {
  lab = await createSagaLab();
});
afterEach(async () => {
  Object.assign(hooks, { redeem: async () => {}, capture: async () => {}, acquire: async () => {} });
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
const retry = { maxAttempts: 3, minBackoffMs: 1, maxBackoffMs: 2 };
const hooks = { redeem: async () => {}, capture: async () => {}, acquire: async () => {} };
const order = defineSaga({ name: 'order', version: 1, input })
  .step('redeem-card', {
    run: async () => {
      await hooks.redeem();
      return 'card';
    },
    retry,
    compensate: async () => {},
  })
  .step('settle-payment', {
    run: async ({ input: { wait } }) =>
      wait ? suspend('3ds', { timeoutMs: 60_000, data: null }) : 'paid at once',
    signal: {
      name: '3ds',
      payload: z.null(),
      resume: async () => {
        await hooks.capture();
        return inSpan('capture', {}, async () => 'paid');
      },
    },
    retry,
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
    await engine.ended(sagaId, { timeoutMs: PATIENCE_MS });
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
    await engine.ended(await place(engine, 'o-2', { fail: true }), { timeoutMs: PATIENCE_MS });
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
    await engine.ended(sagaId, { timeoutMs: PATIENCE_MS });
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
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
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
    observe({ sampler: nothing });
    const engine = await lab.start([order]);
    const sagaId = await place(engine, 'o-5', { wait: true, fail: true });
    await lab.reaches(sagaId, 'waiting');
    await engine.signal(sagaId, '3ds', null);
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    const spans = await spansOf();
    // Times are whole milliseconds there: what shares one has no order.
    expect(new Set(normalisedTree(spans).split('\n'))).toEqual(
      new Set([
        'saga order [shop] error=DOMAIN_TAKEN link:failed-step→step acquire-domain link:caused-by→(never reported)',
        '  step redeem-card [shop]',
        '  step settle-payment [shop]',
        '  resume order [shop]',
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

  const failsOnce = () => {
    let isFirst = true;
    return async () => {
      if (isFirst) {
        isFirst = false;
        throw Object.assign(new Error('not now'), { code: 'AWAY' });
      }
    };
  };
  const bankReturns = (engine: LabEngine, sagaId: string) =>
    context.with(ROOT_CONTEXT, () =>
      inSpan('bank returns', {}, async (span) => {
        await engine.signal(sagaId, '3ds', null);
        return span.spanContext();
      }),
    );

  test('every attempt is told under its own name, and linked with the one before and with what resumed it', async () => {
    observe({ sampler: nothing });
    const engine = await lab.start([order]);
    hooks.redeem = failsOnce();
    hooks.capture = failsOnce();
    const sagaId = await place(engine, 'o-7', { wait: true, fail: true });
    await lab.reaches(sagaId, 'waiting');
    const callback = await bankReturns(engine, sagaId);
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    const spans = await spansOf();
    expect(normalisedTree(spans).split('\n').toSorted()).toEqual(
      [
        'saga order [shop] error=DOMAIN_TAKEN link:failed-step→step acquire-domain link:caused-by→(never reported) link:caused-by→(never reported)',
        '  step redeem-card [shop] error=AWAY',
        '  step redeem-card [shop] link:previous-attempt→step redeem-card',
        '  step settle-payment [shop]',
        '  resume order [shop] error=AWAY link:caused-by→(never reported)',
        '  resume order [shop] link:caused-by→(never reported) link:previous-attempt→resume order',
        '  step acquire-domain [shop] error=DOMAIN_TAKEN',
        '  compensate settle-payment [shop] link:undoes→step settle-payment link:failed-step→step acquire-domain',
        '  compensate redeem-card [shop] link:undoes→step redeem-card link:failed-step→step acquire-domain',
      ].toSorted(),
    );
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length);
    for (const { name, links } of spans)
      if (name.startsWith('resume')) expect(links[0]).toMatchObject({ spanId: callback.spanId });
    const step = named(spans, 'step settle-payment');
    expect(step.events).toMatchObject([
      { name: 'waited', attributes: { 'saga.wait_ms': expect.any(Number) } },
    ]);
    const resumed = spans
      .filter(({ name }) => name.startsWith('resume'))
      .toSorted((a, b) => a.startMs - b.startMs);
    expect(resumed.at(-1)).toMatchObject({ endMs: step.endMs, parentSpanId: step.parentSpanId });
  });

  test('a resume that failed for good is told beside its step', async () => {
    observe({ sampler: nothing });
    const engine = await lab.start([order]);
    hooks.capture = async () => {
      throw refused;
    };
    const sagaId = await place(engine, 'o-8', { wait: true });
    await lab.reaches(sagaId, 'waiting');
    await bankReturns(engine, sagaId);
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    const tree = normalisedTree(await spansOf()).split('\n');
    expect(tree).toContain('  step settle-payment [shop] error=DOMAIN_TAKEN');
    expect(tree).toContain('  resume order [shop] error=DOMAIN_TAKEN link:caused-by→(never reported)');
  });

  test('a resume that older code has journalled is told as well', async () => {
    observe({ sampler: nothing });
    const first = await lab.start([order]);
    const reached = Promise.withResolvers<void>();
    hooks.acquire = () => {
      reached.resolve();
      return new Promise(() => {});
    };
    const sagaId = await place(first, 'o-9', { wait: true, fail: true });
    await lab.reaches(sagaId, 'waiting');
    const callback = await bankReturns(first, sagaId);
    await reached.promise;
    const live = (await lab.events(sagaId)).find((event) => 'resume' in event) as {
      resume?: AttemptSpan['resume'];
    };
    await lab.kill(first);
    await lab.db.database.query(
      `UPDATE throughline.saga_journal
       SET events = (SELECT json_agg(event::jsonb - 'resume') FROM json_array_elements(events) event)
       WHERE saga_id = $1`,
      [sagaId],
    );
    hooks.acquire = async () => {};
    const second = await lab.start([order]);
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    const resume = named(await spansOf(), 'resume order');
    expect(live.resume?.span['traceparent']).toContain(`${resume.traceId}-${resume.spanId}`);
    expect(resume.links).toMatchObject([{ spanId: callback.spanId }]);
    expect(resume.startMs).toBeLessThanOrEqual(live.resume?.startMs ?? 0);
  });

  test('a confirmed saga stays silent', async () => {
    observe({ sampler: nothing });
    const engine = await lab.start([order]);
    const sagaId = await place(engine, 'o-6', {});
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
    expect(await spansOf()).toEqual([]);
    expect(trace.getActiveSpan()).toBeUndefined();
  });
});

describe('in an order that its coin drops', () => {
  const SLOW_MS = 1_500;
  /** Not a wait for anything: to take as long is what the step is about, and its span's times are real ones. */
  const slowly = () => new Promise<void>((resolve) => setTimeout(resolve, SLOW_MS + 50));
  const dropped = { sampling: { keep: 0, slowMs: SLOW_MS } };
  const keptOf = (spans: readonly SpanRecord[]) =>
    Object.fromEntries(spans.map(({ name, attributes }) => [name, attributes['throughline.kept']]));

  test('a failed saga is one tree: its failing attempt with what is below, what undid it live, the rest from the journal', async () => {
    observe(dropped);
    const engine = await lab.start([order]);
    const sagaId = await place(engine, 'o-20', { fail: true });
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('compensated');
    const spans = await spansOf();
    expect(findDisconnections(spans, 'o-20')).toEqual([]);
    expect(keptOf(spans)).toEqual({
      'saga order': 'journal',
      'step redeem-card': 'journal',
      'step settle-payment': 'journal',
      'step acquire-domain': 'error',
      'compensate settle-payment': 'compensates',
      refund: undefined, // its parent says it
      'compensate redeem-card': 'compensates',
    });
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length);
  });

  test('a confirmed saga in which an attempt failed is told as well', async () => {
    observe(dropped);
    const engine = await lab.start([order]);
    let isFirst = true;
    hooks.redeem = async () => {
      if (isFirst) {
        isFirst = false;
        throw new Error('not now');
      }
    };
    const sagaId = await place(engine, 'o-21', {});
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
    const spans = await spansOf();
    expect(findDisconnections(spans, 'o-21')).toEqual([]);
    expect(spans.filter(({ name }) => name === 'step redeem-card')).toHaveLength(2);
    expect(named(spans, 'saga order').attributes).toMatchObject({
      'saga.outcome': 'confirmed',
      'throughline.kept': 'journal',
    });
  });

  test('a saga is slow by its work, not by its waiting', async () => {
    observe(dropped);
    const engine = await lab.start([order]);
    const sagaId = await place(engine, 'o-22', { wait: true });
    await lab.reaches(sagaId, 'waiting');
    await slowly(); // the customer
    await engine.signal(sagaId, '3ds', null);
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
    hooks.capture = slowly;
    const slowId = await place(engine, 'o-23', { wait: true });
    await lab.reaches(slowId, 'waiting');
    await engine.signal(slowId, '3ds', null);
    expect(await engine.ended(slowId, { timeoutMs: 5_000 })).toBe('confirmed');
    const spans = await spansOf();
    expect(findDisconnections(spans, 'o-23')).toEqual([]);
    expect(named(spans, 'capture').attributes).toMatchObject({ 'throughline.kept': 'slow' });
    expect(spans.filter(({ attributes }) => attributes['order.event_id'] === 'o-22')).toEqual([]);
  });

  test('an order is slow when its job lies in a queue, though no process had much to do', async () => {
    observe(dropped);
    const empty = z.strictObject({});
    const queued = defineSaga({ name: 'queued', version: 1, input: empty })
      .job('set-up', {
        job: defineJob({ name: 'set-up', version: 1, topic: 'jobs', payload: empty }),
        payload: () => ({}),
        result: z.null(),
        compensate: skip('the last one'),
      })
      .build();
    const engine = await lab.start([queued]);
    const { sagaId } = await engine.begin(queued, {}, { orderKey: 'o-24' });
    await lab.reaches(sagaId, 'waiting');
    await slowly(); // the queue
    await lab.jobDone(engine, sagaId, 'set-up', null);
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
    const spans = await spansOf();
    expect(findDisconnections(spans, 'o-24')).toEqual([]);
    expect(keptOf(spans)).toEqual({ 'saga queued': 'journal', 'step set-up': 'journal' });
  });
});
