import { readFileSync } from 'node:fs';
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { afterEach, describe, expect, test } from 'vitest';
import { startTelemetry, type Telemetry, withOrderKey } from '../../shared/index.ts';
import { isOrderKept, thresholdOf } from '../../shared/trace/sampling.ts';
import { tracer } from '../../shared/trace/tracer.ts';
import { CONFIG, collectorMissing, startCollector } from '../support/collector.ts';

const NOW_MS = Date.now();

let telemetry: Telemetry | undefined;
afterEach(() => telemetry?.shutdown());

/** A request with a call inside. Times in ms. */
function request(
  path: string,
  {
    status = 'ok',
    durationMs = 20,
    orderKey,
  }: { status?: 'ok' | 'error'; durationMs?: number; orderKey?: string } = {},
): void {
  const parent = orderKey === undefined ? ROOT_CONTEXT : withOrderKey(ROOT_CONTEXT, orderKey);
  const attributes = { 'url.path': path };
  const root = tracer().startSpan(
    `GET ${path}`,
    { kind: SpanKind.SERVER, startTime: NOW_MS, attributes },
    parent,
  );
  const call = tracer().startSpan(`call for ${path}`, { startTime: NOW_MS }, trace.setSpan(parent, root));
  if (status === 'error') call.setStatus({ code: SpanStatusCode.ERROR });
  call.end(NOW_MS + durationMs);
  root.end(NOW_MS + durationMs);
}

const times = (number: number, work: (index: number) => void) => {
  for (let index = 0; index < number; index++) work(index);
};

test('the configuration does not use the form that keeps what it means to drop', () => {
  const text = readFileSync(CONFIG, 'utf8');
  expect(text).toContain('type: drop');
  expect(text).not.toContain('invert_match');
});

describe.skipIf(collectorMissing)(
  `with a collector${collectorMissing ? ` (${collectorMissing})` : ''}`,
  () => {
    test('errors and slow traces pass, health checks do not, and of the rest one in twenty', async () => {
      const collector = await startCollector();
      telemetry = startTelemetry({ serviceName: 'shop', otlpEndpoint: collector.endpoint });
      times(2_000, () => request('/orders'));
      times(30, () => request('/failing', { status: 'error' }));
      times(30, () => request('/slow', { durationMs: 2_000 }));
      times(30, () => request('/nearly-slow', { durationMs: 1_990 }));
      times(100, () => request('/healthz'));
      times(30, () => request('/readyz', { status: 'error' }));
      await telemetry.shutdown();
      await collector.metricWith('GET /healthz'); // span metrics are made before anything is left out
      await collector.drain();
      const passed = (name: string) => collector.spans.filter((span) => span.name === name).length;
      expect([passed('GET /failing'), passed('call for /failing')]).toEqual([30, 30]);
      expect([passed('GET /slow'), passed('call for /slow')]).toEqual([30, 30]);
      expect([passed('GET /healthz'), passed('GET /readyz'), passed('call for /readyz')]).toEqual([0, 0, 0]);
      expect(passed('GET /nearly-slow')).toBeLessThan(15);
      expect(passed('GET /orders')).toBeGreaterThan(50);
      expect(passed('GET /orders')).toBeLessThan(150);
      expect(passed('call for /orders')).toBe(passed('GET /orders'));
    }, 60_000);

    test('what a service has decided itself is not decided once more', async () => {
      const collector = await startCollector();
      telemetry = startTelemetry({
        serviceName: 'shop',
        otlpEndpoint: collector.endpoint,
        sampling: { keep: 0.2 },
      });
      times(400, (index) => request('/orders', { orderKey: `O-${index}` }));
      times(20, (index) => request('/failing', { status: 'error', orderKey: `F-${index}` }));
      await telemetry.shutdown();
      await collector.drain();
      const due = Array.from({ length: 400 }, (_, index) => `O-${index}`).filter((key) =>
        isOrderKept(key, thresholdOf(0.2)),
      );
      const orders = collector.spans.filter(({ name }) => name === 'GET /orders');
      expect(new Set(orders.map(({ attributes }) => attributes['order.event_id']))).toEqual(new Set(due));
      expect(collector.spans.filter(({ name }) => name === 'GET /failing')).toHaveLength(20);
    }, 60_000);
  },
);
