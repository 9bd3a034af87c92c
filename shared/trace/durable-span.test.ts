import { context, createTraceState, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  AlwaysOffSampler,
  ParentBasedSampler,
  type Sampler,
  SamplingDecision,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startTestTelemetry, type TestTelemetry } from '../../test/fakes/telemetry.ts';
import type { SpanRecord } from '../../testing/index.ts';
import { spanContextOf } from './carrier.ts';
import {
  emitReservedSpan,
  type ReservedSpan,
  reservedContext,
  reservedSpanSchema,
  reserveSpan,
} from './durable-span.ts';
import { inSpan } from './in-span.ts';
import { linkTo } from './links.ts';
import { withOrderKey } from './order-key.ts';
import { tracer } from './tracer.ts';

let telemetry: TestTelemetry;
beforeEach(() => {
  telemetry = startTestTelemetry();
});
afterEach(() => telemetry.stop());

/** As a database would keep it. */
function stored(reserved: ReservedSpan): ReservedSpan {
  return reservedSpanSchema.parse(JSON.parse(JSON.stringify(reserved)));
}

async function restart(options = {}): Promise<void> {
  await telemetry.stop();
  telemetry = startTestTelemetry({ serviceName: 'after-restart', ...options });
}

function idsOf({ traceId, spanId }: SpanRecord) {
  return { traceId, spanId };
}

describe('reserving', () => {
  test('emits nothing', async () => {
    reserveSpan('saga order');
    expect(await telemetry.spans()).toEqual([]);
  });

  test('chooses valid ids and survives JSON', () => {
    const reserved = reserveSpan('saga order', { kind: SpanKind.SERVER, startMs: 1_700_000_000_000 });
    expect(stored(reserved)).toEqual(reserved);
    expect(spanContextOf(stored(reserved).self)).toMatchObject({ traceFlags: 1, isRemote: true });
    expect(reserved).toMatchObject({ kind: SpanKind.SERVER, startMs: 1_700_000_000_000, parent: {} });
  });

  test('never chooses the same ids twice', () => {
    const ids = Array.from({ length: 50 }, () => spanContextOf(reserveSpan('saga order').self)?.spanId);
    expect(new Set(ids).size).toBe(50);
  });

  test('refuses to read back what is no reservation', () => {
    const reserved = reserveSpan('saga order');
    expect(reservedSpanSchema.safeParse({ ...reserved, kind: 9 }).success).toBe(false);
    expect(reservedSpanSchema.safeParse({ ...reserved, self: 'x' }).success).toBe(false);
    expect(reservedSpanSchema.safeParse({ ...reserved, startMs: null }).success).toBe(false);
  });
});

describe('emitting', () => {
  test('writes one span with the reserved ids, parent, order key and true times', async () => {
    const reserved = await inSpan('POST /orders', {}, async () =>
      context.with(withOrderKey(context.active(), 'order-1', 'saga-1'), async () =>
        reserveSpan('saga order', { kind: SpanKind.SERVER, startMs: 1_700_000_000_000 }),
      ),
    );
    const cause = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16), traceFlags: 1 };
    const link = linkTo(cause, 'failed-step');
    emitReservedSpan(stored(reserved), {
      endMs: 1_700_000_060_000,
      attributes: { 'saga.wait_ms': 59_000 },
      links: link ? [link] : [],
      status: { code: SpanStatusCode.ERROR, message: 'compensated' },
      events: [{ name: 'suspended', timeMs: 1_700_000_001_000, attributes: { signal: '3ds' } }],
    });
    const request = await telemetry.span('POST /orders');
    const saga = await telemetry.span('saga order');
    expect(saga).toMatchObject({
      spanId: spanContextOf(reserved.self)?.spanId,
      traceId: request.traceId,
      parentSpanId: request.spanId,
      kind: 'SERVER',
      startMs: 1_700_000_000_000,
      endMs: 1_700_000_060_000,
      status: { code: 'ERROR', message: 'compensated' },
      attributes: { 'saga.wait_ms': 59_000, 'order.event_id': 'order-1', 'saga.id': 'saga-1' },
      events: [{ name: 'suspended', timeMs: 1_700_000_001_000, attributes: { signal: '3ds' } }],
      links: [{ traceId: cause.traceId, attributes: { 'throughline.link.reason': 'failed-step' } }],
    });
  });

  test('takes place in another process, under which children were started in between', async () => {
    const reserved = reserveSpan('saga order');
    await inSpan('step one', { parent: reservedContext(stored(reserved)) }, async () => {});
    const stepOne = await telemetry.span('step one');
    await restart();
    await inSpan('step two', { parent: reservedContext(stored(reserved)) }, async () => {});
    emitReservedSpan(stored(reserved));
    const saga = await telemetry.span('saga order');
    expect(idsOf(saga)).toEqual({ traceId: stepOne.traceId, spanId: stepOne.parentSpanId });
    expect(saga).not.toHaveProperty('parentSpanId');
    expect(saga.service).toBe('after-restart');
    expect(await telemetry.span('step two')).toMatchObject({
      parentSpanId: saga.spanId,
      traceId: saga.traceId,
    });
  });

  test('leaves the ids of the next span to chance', async () => {
    const reserved = reserveSpan('saga order');
    emitReservedSpan(reserved);
    await inSpan('another', {}, async () => {});
    expect((await telemetry.span('another')).spanId).not.toBe(spanContextOf(reserved.self)?.spanId);
    expect((await telemetry.span('another')).traceId).not.toBe(spanContextOf(reserved.self)?.traceId);
  });

  test('does not depend on what is active when it happens', async () => {
    const reserved = reserveSpan('saga order');
    await inSpan('a later request', {}, async () => emitReservedSpan(reserved));
    const saga = await telemetry.span('saga order');
    expect(saga).not.toHaveProperty('parentSpanId');
    expect(saga.traceId).not.toBe((await telemetry.span('a later request')).traceId);
  });

  test('keeps a parent whose caller sent flags that nobody knows', async () => {
    const caller = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16), traceFlags: 0xff, isRemote: true };
    emitReservedSpan(reserveSpan('saga order', { parent: trace.setSpanContext(ROOT_CONTEXT, caller) }));
    expect(await telemetry.span('saga order')).toMatchObject({
      traceId: caller.traceId,
      parentSpanId: caller.spanId,
    });
  });

  test('says nothing when the reservation names no span', async () => {
    emitReservedSpan({ ...reserveSpan('saga order'), self: { traceparent: 'nonsense' } });
    expect(await telemetry.spans()).toEqual([]);
  });
});

describe('the sampling decision', () => {
  test('not to sample is kept, although the sampler would decide otherwise when emitting', async () => {
    await restart({ sampler: new AlwaysOffSampler() });
    const reserved = reserveSpan('saga order');
    expect(spanContextOf(reserved.self)?.traceFlags).toBe(0);
    await restart();
    emitReservedSpan(stored(reserved));
    await inSpan('step', { parent: reservedContext(stored(reserved)) }, async () => {});
    expect(await telemetry.spans()).toEqual([]);
  });

  test('to sample is kept, although the sampler would decide otherwise when emitting', async () => {
    const reserved = reserveSpan('saga order');
    await restart({ sampler: new AlwaysOffSampler() });
    emitReservedSpan(stored(reserved));
    expect(await telemetry.spans()).toHaveLength(1);
  });

  test("follows the parent's", async () => {
    const parent = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16), traceFlags: 0, isRemote: true };
    const reserved = reserveSpan('saga order', { parent: trace.setSpanContext(ROOT_CONTEXT, parent) });
    emitReservedSpan(reserved);
    expect(spanContextOf(reserved.self)?.traceFlags).toBe(0);
    expect(await telemetry.spans()).toEqual([]);
  });

  test.each([
    ['a ratio', new TraceIdRatioBasedSampler(0.5)],
    ['a parent-based ratio', new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(0.5) })],
  ])('of %s is the same for reservation, children and emission', async (_name, sampler) => {
    await restart({ sampler });
    const reservations = Array.from({ length: 60 }, (_, i) => reserveSpan(`saga ${i}`));
    for (const [i, reserved] of reservations.entries()) {
      await inSpan(`step ${i}`, { parent: reservedContext(stored(reserved)) }, async () => {});
    }
    await telemetry.spans();
    for (const reserved of reservations) emitReservedSpan(stored(reserved));
    const names = new Set((await telemetry.spans()).map(({ name }) => name));
    const sampled = reservations.map(({ self }) => spanContextOf(self)?.traceFlags === 1);
    expect(sampled).toContain(true);
    expect(sampled).toContain(false);
    for (const [i, isSampled] of sampled.entries()) {
      expect([names.has(`saga ${i}`), names.has(`step ${i}`)]).toEqual([isSampled, isSampled]);
    }
  });

  test("goes with the sampler's tracestate, which the emitted span repeats", async () => {
    const seen: (string | undefined)[] = [];
    const sampler: Sampler = {
      shouldSample: () => ({
        decision: SamplingDecision.RECORD_AND_SAMPLED,
        traceState: createTraceState('ot=rv:abcdef01234567'),
      }),
      toString: () => 'consistent',
    };
    const spy = {
      export: (
        spans: { spanContext(): { traceState?: { serialize(): string } } }[],
        done: (r: { code: number }) => void,
      ) => {
        seen.push(...spans.map((span) => span.spanContext().traceState?.serialize()));
        done({ code: 0 });
      },
      shutdown: async () => {},
    };
    await restart({ sampler, exporters: [spy] });
    const reserved = reserveSpan('saga order');
    expect(reserved.self['tracestate']).toBe('ot=rv:abcdef01234567');
    emitReservedSpan(stored(reserved));
    await telemetry.spans();
    expect(seen).toEqual(['ot=rv:abcdef01234567']);
  });
});

test('without telemetry reserving and emitting do nothing and fail nothing', async () => {
  await telemetry.stop();
  const reserved = stored(reserveSpan('saga order'));
  expect(spanContextOf(reserved.self)).toBeUndefined();
  expect(() => emitReservedSpan(reserved)).not.toThrow();
  expect(tracer().startSpan('x', {}, reservedContext(reserved)).isRecording()).toBe(false);
});
