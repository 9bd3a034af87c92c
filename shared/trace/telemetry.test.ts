import { context, metrics, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { afterEach, expect, test } from 'vitest';
import { startTestTelemetry, type TestTelemetry } from '../../test/fakes/telemetry.ts';
import { serve } from '../../test/support/http-server.ts';
import { createSpanCollector } from '../../testing/index.ts';
import { count, recordSeconds } from './meters.ts';
import { withOrderKey } from './order-key.ts';
import { startTelemetry } from './telemetry.ts';
import { tracer } from './tracer.ts';

const PROCESSED = 'otel.sdk.processor.span.processed';
const DROPPED = 'throughline.spans.dropped';

let telemetry: TestTelemetry | undefined;
afterEach(() => telemetry?.stop());

function start(...given: Parameters<typeof startTestTelemetry>): TestTelemetry {
  telemetry = startTestTelemetry(...given);
  return telemetry;
}

function burst(spans: number): void {
  for (let i = 0; i < spans; i++) tracer().startSpan(`span ${i}`).end();
}

test('a burst beyond the queue is dropped and counted', async () => {
  const { sum, spans } = start({ batch: { maxQueueSize: 4, maxExportBatchSize: 4 } });
  burst(10);
  const exported = (await spans()).length;
  expect(exported).toBeLessThan(10);
  expect(await sum(PROCESSED, { 'error.type': 'queue_full' })).toBe(10 - exported);
  expect(await sum(DROPPED, { reason: 'queue_full' })).toBe(10 - exported);
  expect(await sum(DROPPED, { reason: 'export_failed' })).toBe(0);
});

test('a burst of 20,000 spans loses none', async () => {
  const { sum, spans } = start();
  burst(20_000);
  expect(await spans()).toHaveLength(20_000);
  expect(await sum(PROCESSED)).toBe(20_000);
  expect(await sum(PROCESSED, { 'error.type': 'queue_full' })).toBe(0);
});

test('two exporters get every span, each from a queue of its own', async () => {
  const [first, second] = [createSpanCollector(), createSpanCollector()];
  const { spans } = start({ exporters: [first, second] });
  burst(3);
  await spans();
  expect([first.spans.length, second.spans.length]).toEqual([3, 3]);
});

test('shutting down exports what has ended, and may be done twice', async () => {
  const collector = createSpanCollector();
  const own = startTelemetry({ serviceName: 'shop', exporters: [collector] });
  burst(2);
  await Promise.all([own.shutdown(), own.shutdown()]);
  await own.shutdown();
  expect(collector.spans.map(({ service }) => service)).toEqual(['shop', 'shop']);
});

test('can be started again after it was stopped, with tracers and counters that were used before', async () => {
  const first = start();
  burst(1);
  count('throughline.inbox.duplicates', {});
  await first.stop();
  burst(1);
  count('throughline.inbox.duplicates', {});
  const second = start();
  burst(2);
  count('throughline.inbox.duplicates', {}, 5);
  expect(await second.spans()).toHaveLength(2);
  expect(await second.sum('throughline.inbox.duplicates')).toBe(5);
});

test('after the shutdown nothing is registered any more', async () => {
  await start().stop();
  expect(tracer().startSpan('x').isRecording()).toBe(false);
  expect(propagation.fields()).toEqual([]);
  expect(context.with(withOrderKey(ROOT_CONTEXT, 'o'), () => context.active())).toBe(ROOT_CONTEXT);
  expect(metrics.getMeter('x').createCounter('y').constructor.name).toMatch(/Noop/);
  expect(trace.getActiveSpan()).toBeUndefined();
});

test("every span bears the order key and the saga's id of its context, and others bear none", async () => {
  const { span } = start();
  tracer()
    .startSpan('ordered', {}, withOrderKey(ROOT_CONTEXT, 'order-1', 'saga-1'))
    .end();
  tracer().startSpan('plain').end();
  expect((await span('ordered')).attributes).toEqual({ 'order.event_id': 'order-1', 'saga.id': 'saga-1' });
  expect((await span('plain')).attributes).toEqual({});
});

test('an exporter that fails fails neither flush nor shutdown, and its spans are counted', async () => {
  const { spans, stop, sum } = start({
    exporters: [
      {
        export: (_spans, done) => done({ code: 1, error: new Error('collector is down') }),
        shutdown: () => Promise.reject(new Error('still down')),
      },
    ],
  });
  burst(1);
  await expect(spans()).resolves.toEqual([]);
  expect(await sum(DROPPED, { reason: 'export_failed' })).toBe(1);
  await expect(stop()).resolves.toBeUndefined();
});

test('a counter that was created at 0 is there before its first event', async () => {
  const { sum } = start();
  count('throughline.inbox.duplicates', { kind: 'a' }, 0);
  count('throughline.inbox.duplicates', { kind: 'b' });
  recordSeconds('messaging.process.duration', 0.2, {});
  expect(await sum('throughline.inbox.duplicates', { kind: 'a' })).toBe(0);
  expect(await sum('throughline.inbox.duplicates', { kind: 'b' })).toBe(1);
});

test('a hundred flushes at once lose nothing, though an exporter takes few exports at a time', async () => {
  const limit = 2;
  let under = 0;
  let exported = 0;
  let refused = 0;
  const exporter = {
    export(spans: readonly unknown[], done: (result: { code: number }) => void) {
      if (under >= limit) {
        refused += 1;
        done({ code: 1 });
        return;
      }
      under += 1;
      setImmediate(() => {
        under -= 1;
        exported += spans.length;
        done({ code: 0 });
      });
    },
    shutdown: async () => {},
  };
  const telemetry = startTelemetry({ serviceName: 'flushing', exporters: [exporter] });
  const flushes = Array.from({ length: 100 }, (_, number) => {
    trace.getTracer('t').startSpan(`span ${number}`).end();
    return telemetry.flush();
  });
  await Promise.all(flushes);
  await telemetry.shutdown();
  expect({ exported, refused }).toEqual({ exported: 100, refused: 0 });
});

test.each([
  [true, ['/v1/metrics', '/v1/traces']],
  [false, ['/v1/traces']],
])('with pushesMetrics %j the endpoint gets %j', async (pushesMetrics, expected) => {
  const asked = new Set<string | undefined>();
  const otlpEndpoint = await serve((request, response) => {
    asked.add(request.url);
    request.resume().on('end', () => response.end());
  });
  const { shutdown } = startTelemetry({ serviceName: 'shop', otlpEndpoint, pushesMetrics });
  tracer().startSpan('work').end();
  await shutdown();
  expect([...asked].toSorted()).toEqual(expected);
});
