import { context, ROOT_CONTEXT, type Span, SpanStatusCode, trace } from '@opentelemetry/api';
import { afterEach, describe, expect, test } from 'vitest';
import { startTestTelemetry, type TestTelemetry } from '../../test/fakes/telemetry.ts';
import { captureCarrier } from './carrier.ts';
import { emitReservedSpan, reserveSpan } from './durable-span.ts';
import { withOrderKey } from './order-key.ts';
import { isSlow, releaseEndedSpans } from './release.ts';
import { isOrderKept, type SamplingOptions, thresholdOf } from './sampling.ts';
import { tracer } from './tracer.ts';

let telemetry: TestTelemetry | undefined;
afterEach(() => telemetry?.stop());

function sample(sampling: SamplingOptions): TestTelemetry {
  telemetry = startTestTelemetry({ sampling });
  return telemetry;
}

const names = async (of: TestTelemetry) => (await of.spans()).map(({ name }) => name);
const START_MS = 1_700_000_000_000;

function start(
  name: string,
  { parent = ROOT_CONTEXT, startMs }: { parent?: typeof ROOT_CONTEXT; startMs?: number } = {},
) {
  const span = tracer().startSpan(name, startMs === undefined ? {} : { startTime: startMs }, parent);
  return { span, below: trace.setSpan(parent, span) };
}

/** A root with a child that has ended. */
function work(name: string, orderKey: string): { span: Span; below: typeof ROOT_CONTEXT } {
  const root = start(name, { parent: withOrderKey(ROOT_CONTEXT, orderKey), startMs: START_MS });
  start(`call of ${name}`, { parent: root.below, startMs: START_MS }).span.end(START_MS + 1);
  return root;
}

function keyThatIs(kept: boolean, keep: number): string {
  for (let number = 0; number < 1_000; number++)
    if (isOrderKept(`order-${number}`, thresholdOf(keep)) === kept) return `order-${number}`;
  throw new Error('none of a thousand');
}

describe('of an order that its coin drops', () => {
  test('work that goes well is dropped and counted', async () => {
    const observed = sample({ keep: 0 });
    work('step', 'o-1').span.end(START_MS + 1_999);
    expect(await names(observed)).toEqual([]);
    expect(await observed.sum('throughline.sampling.dropped', { reason: 'coin' })).toBe(2);
  });

  test('work in which anything failed is kept whole, and says why', async () => {
    const observed = sample({ keep: 0 });
    const { span, below } = work('step', 'o-1');
    start('refused call', { parent: below }).span.setStatus({ code: SpanStatusCode.ERROR }).end();
    expect(await names(observed)).toEqual([]); // not before it has ended
    span.end(START_MS + 5);
    const spans = await observed.spans();
    expect(spans.map(({ name }) => name)).toEqual(['call of step', 'refused call', 'step']);
    expect(spans.map(({ attributes }) => attributes['throughline.kept'])).toEqual([
      'error',
      'error',
      'error',
    ]);
    expect(await observed.sum('throughline.sampling.kept', { reason: 'error' })).toBe(3);
  });

  test.each([
    [1_999, 0],
    [2_000, 2],
  ])('of work that took %d ms %d spans are kept', async (durationMs, kept) => {
    const observed = sample({ keep: 0 });
    work('step', 'o-1').span.end(START_MS + durationMs);
    expect((await observed.spans()).length).toBe(kept);
  });

  test('what lasts because somebody waits is not slow', async () => {
    const observed = sample({ keep: 0 });
    work('GET /events', 'o-1')
      .span.setAttribute('throughline.waits', true)
      .end(START_MS + 60_000);
    expect(await names(observed)).toEqual([]);
  });

  test('the context of what was kept says so, for whoever stores it', () => {
    sample({ keep: 0 });
    const { span } = work('step', 'o-1');
    span.setStatus({ code: SpanStatusCode.ERROR });
    const flagsOf = () => captureCarrier(trace.setSpan(ROOT_CONTEXT, span))['traceparent']?.slice(-2);
    expect(flagsOf()).toBe('00');
    span.end(START_MS + 5);
    expect(flagsOf()).toBe('01');
  });

  test('a failure after its work was dropped is kept alone', async () => {
    const observed = sample({ keep: 0 });
    const { span, below } = work('request', 'o-1');
    const late = start('left behind', { parent: below }).span;
    span.end(START_MS + 5);
    late.setStatus({ code: SpanStatusCode.ERROR }).end();
    expect(await names(observed)).toEqual(['left behind']);
  });

  test('what is released to be kept is, and so is what it causes from then on', async () => {
    const observed = sample({ keep: 0 });
    const { span, below } = work('process', 'o-1');
    releaseEndedSpans(below, 'error');
    expect(await names(observed)).toEqual(['call of process']);
    start('send', { parent: below }).span.end();
    span.end(START_MS + 5);
    expect(await names(observed)).toEqual(['call of process', 'send', 'process']);
  });

  test('what is released for nothing is dropped; its root is still kept if it fails', async () => {
    const observed = sample({ keep: 0 });
    const root = start('process', { parent: withOrderKey(ROOT_CONTEXT, 'o-1') });
    start('call', { parent: root.below }).span.end();
    releaseEndedSpans(root.below);
    root.span.setStatus({ code: SpanStatusCode.ERROR }).end();
    expect(await names(observed)).toEqual(['process']);
  });

  test('a reserved span is not told, unless whoever tells it says otherwise', async () => {
    const observed = sample({ keep: 0 });
    const parent = withOrderKey(ROOT_CONTEXT, 'o-1');
    emitReservedSpan(reserveSpan('confirmed', { parent }));
    emitReservedSpan(reserveSpan('failed', { parent }), { sampled: true });
    expect(await names(observed)).toEqual(['failed']);
  });
});

describe('a request that learns in its course whose order it is', () => {
  const request = (orderKey: string, parent = ROOT_CONTEXT) => {
    const root = start('POST /orders', { parent });
    start('INSERT', { parent: root.below }).span.end();
    root.span.setAttribute('order.event_id', orderKey);
    root.span.end();
  };

  test('is kept with its order', async () => {
    const observed = sample({ keep: 0.01 });
    for (let number = 0; number < 50; number++) request(keyThatIs(true, 0.01));
    expect((await observed.spans()).length).toBe(100);
  });

  test('is dropped with its order, although its own trace had been sampled', async () => {
    const observed = sample({ keep: 0.99 });
    for (let number = 0; number < 50; number++) request(keyThatIs(false, 0.99));
    expect(await names(observed)).toEqual([]);
  });

  test('stays in the trace of a caller who had it sampled', async () => {
    const observed = sample({ keep: 0 });
    const caller = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1, isRemote: true };
    request('o-1', trace.setSpanContext(ROOT_CONTEXT, caller));
    expect(await names(observed)).toEqual(['INSERT', 'POST /orders']);
  });

  test('that places several keeps those of them that are kept, and itself', async () => {
    const observed = sample({ keep: 0.5 });
    const root = start('POST /batches');
    for (const kept of [true, false]) {
      const parent = withOrderKey(root.below, keyThatIs(kept, 0.5));
      start(kept ? 'kept order' : 'dropped order', { parent }).span.end();
    }
    root.span.end();
    expect(await names(observed)).toEqual(['kept order', 'POST /batches']);
  });
});

test('memory is bounded: beyond it spans that wait for a decision are dropped and counted', async () => {
  const observed = sample({ keep: 0, slowMs: 600_000 });
  const roots = Array.from({ length: 40 }, (_, number) => {
    const root = start(`work ${number}`, { parent: withOrderKey(ROOT_CONTEXT, `o-${number}`) });
    for (let call = 0; call < 2_000; call++) start('call', { parent: root.below }).span.end();
    return root.span;
  });
  expect(await observed.sum('throughline.sampling.dropped', { reason: 'hold_full' })).toBe(80_000 - 65_536);
  expect(await observed.sum('throughline.spans.dropped', { reason: 'hold_full' })).toBe(80_000 - 65_536);
  for (const span of roots) span.end();
  start('afterwards').span.setStatus({ code: SpanStatusCode.ERROR }).end();
  expect(await names(observed)).toEqual(['afterwards']);
});

describe('work that is too large to be held to its end', () => {
  const large = (observed: TestTelemetry) => {
    const root = start('import', { parent: withOrderKey(ROOT_CONTEXT, 'o-1') });
    const call = () => start('call', { parent: root.below }).span;
    for (let number = 0; number < 2_049; number++) call().end();
    const dropped = (reason: string) => observed.sum('throughline.sampling.dropped', { reason });
    return { ...root, call, dropped };
  };

  test('is dropped with the coin if it ends well', async () => {
    const observed = sample({ keep: 0 });
    const { span, call, dropped } = large(observed);
    call().end();
    span.end();
    expect(await names(observed)).toEqual([]);
    expect([await dropped('coin'), await dropped('work_too_large')]).toEqual([2_051, 0]);
  });

  test('is kept from its first failure on, and what was dropped before is counted as lost', async () => {
    const observed = sample({ keep: 0 });
    const { span, call, dropped } = large(observed);
    call().setStatus({ code: SpanStatusCode.ERROR }).end();
    call().end();
    span.end();
    expect(await names(observed)).toEqual(['call', 'call', 'import']);
    expect([await dropped('coin'), await dropped('work_too_large')]).toEqual([0, 2_049]);
    expect(await observed.sum('throughline.spans.dropped', { reason: 'work_too_large' })).toBe(2_049);
  });
});

test('nothing is slow where everything is kept', () => {
  telemetry = startTestTelemetry({ sampling: { keep: 1 } });
  expect(isSlow(60_000)).toBe(false);
  expect(context.active()).toBe(ROOT_CONTEXT);
});
