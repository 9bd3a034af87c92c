import { context, INVALID_SPAN_CONTEXT, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTestTelemetry, type TestTelemetry } from '../test/fakes/telemetry.ts';
import { createLogger, type LogOptions } from './log.ts';
import { withOrderKey } from './trace/order-key.ts';

let telemetry: TestTelemetry;
beforeEach(() => {
  telemetry = startTestTelemetry();
});
afterEach(() => telemetry.stop());

const SPAN = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };

function logging(options: Partial<LogOptions> = {}) {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { lines, logger: createLogger({ serviceName: 'shop', level: 'info', destination, ...options }) };
}

const inOrder = trace.setSpanContext(withOrderKey(ROOT_CONTEXT, 'order-1', 'saga-1'), SPAN);

test('every line bears the span, the order key and the saga id, children and all levels included', () => {
  const { lines, logger } = logging();
  context.with(inOrder, () => {
    logger.info('one');
    logger.error({ err: new Error('x') }, 'two');
    logger.child({ part: 'p' }).warn({ more: 1 }, 'three');
  });
  expect(lines).toHaveLength(3);
  for (const line of lines) {
    expect(line).toMatchObject({
      service: 'shop',
      trace_id: SPAN.traceId,
      span_id: SPAN.spanId,
      trace_flags: '01',
      'order.event_id': 'order-1',
      'saga.id': 'saga-1',
    });
    expect(line).not.toHaveProperty('logging.googleapis.com/trace');
  }
});

test("bears Google Cloud's trace field when the project is known", () => {
  const { lines, logger } = logging({ projectId: 'shop-prod' });
  context.with(inOrder, () => logger.info('x'));
  expect(lines[0]?.['logging.googleapis.com/trace']).toBe(`projects/shop-prod/traces/${SPAN.traceId}`);
});

test('says nothing of a trace where there is none', () => {
  const { lines, logger } = logging({ projectId: 'shop-prod' });
  logger.info('outside');
  context.with(trace.setSpanContext(ROOT_CONTEXT, INVALID_SPAN_CONTEXT), () => logger.info('no-op span'));
  context.with(withOrderKey(ROOT_CONTEXT, 'order-1'), () => logger.info('an order without a span'));
  for (const line of lines) expect(Object.keys(line).join()).not.toMatch(/trace|span/);
  expect(lines[2]).toMatchObject({ 'order.event_id': 'order-1' });
});

test('an unsampled span is told by its flags', () => {
  const { lines, logger } = logging();
  context.with(trace.setSpanContext(ROOT_CONTEXT, { ...SPAN, traceFlags: 0 }), () => logger.info('x'));
  expect(lines[0]).toMatchObject({ trace_id: SPAN.traceId, trace_flags: '00' });
});

test('leaves out lines below its level', () => {
  const { lines, logger } = logging({ level: 'warn' });
  logger.info('x');
  expect(lines).toEqual([]);
});
