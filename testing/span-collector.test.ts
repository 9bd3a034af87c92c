import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { expect, test } from 'vitest';
import { assertConnected, createSpanCollector, DisconnectedTraceError } from './index.ts';

function start() {
  const collector = createSpanCollector();
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'shop' }),
    spanProcessors: [new SimpleSpanProcessor(collector)],
  });
  return { collector, provider, tracer: provider.getTracer('test') };
}

test("turns the SDK's spans into records", () => {
  const { collector, tracer } = start();
  const cause = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
  const attributes = { 'order.event_id': 'order-1' };
  const parent = tracer.startSpan('POST /orders', {
    kind: SpanKind.SERVER,
    startTime: [1_700_000_000, 123_456_000],
  });
  const child = tracer.startSpan(
    'send workspace-jobs',
    { kind: SpanKind.PRODUCER, attributes, links: [{ context: cause, attributes: { why: 'x' } }] },
    trace.setSpan(context.active(), parent),
  );
  child.addEvent('sent', { bytes: 3 }, [1_700_000_001, 0]);
  child.setStatus({ code: SpanStatusCode.ERROR, message: 'no room' });
  child.end();
  parent.end([1_700_000_000, 125_456_000]);
  const [first, second] = collector.spans;
  expect(first).toMatchObject({
    name: 'send workspace-jobs',
    kind: 'PRODUCER',
    service: 'shop',
    parentSpanId: parent.spanContext().spanId,
    status: { code: 'ERROR', message: 'no room' },
    attributes,
    events: [{ name: 'sent', timeMs: 1_700_000_001_000, attributes: { bytes: 3 } }],
    links: [{ traceId: cause.traceId, spanId: cause.spanId, attributes: { why: 'x' } }],
  });
  expect(second).toMatchObject({ kind: 'SERVER', startMs: 1_700_000_000_123.456, status: { code: 'UNSET' } });
  expect(second).not.toHaveProperty('parentSpanId');
  expect((second?.endMs ?? 0) - (second?.startMs ?? 0)).toBeCloseTo(2, 3);
  expect(collector.tree()).toBe(
    'POST /orders [shop]\n  send workspace-jobs [shop] error=no room link:unexplained→(never reported)',
  );
});

test("asserts that a service's own trace is connected", () => {
  const { collector, tracer } = start();
  const attributes = { 'order.event_id': 'order-1' };
  tracer.startSpan('POST /orders', { attributes }).end();
  expect(() => assertConnected(collector.spans, 'order-1')).not.toThrow();
  tracer.startSpan('process workspace-jobs', { kind: SpanKind.CONSUMER, attributes }).end();
  expect(() => assertConnected(collector.spans, 'order-1')).toThrow(DisconnectedTraceError);
});

test('wakes whoever waits when the span ends, and not before', async () => {
  const { collector, tracer } = start();
  const span = tracer.startSpan('awaited');
  let isAwake = false;
  const waited = collector.waitFor((spans) => spans.find(({ name }) => name === 'awaited'), {
    timeoutMs: 5_000,
  });
  void waited.then(() => {
    isAwake = true;
  });
  tracer.startSpan('another').end();
  await Promise.resolve();
  expect(isAwake).toBe(false);
  span.end();
  expect((await waited).spanId).toBe(span.spanContext().spanId);
});

test('forgets its spans on reset', () => {
  const { collector, tracer } = start();
  tracer.startSpan('one').end();
  collector.reset();
  tracer.startSpan('two').end();
  expect(collector.spans.map(({ name }) => name)).toEqual(['two']);
});

test('refuses spans after shutdown and keeps those it has', async () => {
  const { collector, tracer } = start();
  tracer.startSpan('one').end();
  await collector.shutdown();
  const codes: number[] = [];
  collector.export([], ({ code }) => codes.push(code));
  expect(codes).toEqual([1]);
  expect(collector.spans).toHaveLength(1);
});
