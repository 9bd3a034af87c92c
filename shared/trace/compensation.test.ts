import { context, trace } from '@opentelemetry/api';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTestTelemetry, type TestTelemetry } from '../../test/fakes/telemetry.ts';
import { captureCarrier } from './carrier.ts';
import { inCompensationSpan } from './compensation.ts';
import { inSpan } from './in-span.ts';

let telemetry: TestTelemetry;
beforeEach(() => {
  telemetry = startTestTelemetry();
});
afterEach(() => telemetry.stop());

async function step(name: string) {
  return inSpan(name, {}, async () => captureCarrier());
}

test('is linked to the step that it undoes and to the one that failed, and says so in attributes', async () => {
  const undoes = await step('step redeem-card');
  const failedStep = await step('step settle-payment');
  const result = await inSpan('saga', {}, () =>
    inCompensationSpan({ step: 'redeem-card', undoes, failedStep }, async (span) => {
      expect(trace.getSpan(context.active())).toBe(span);
      return 'undone';
    }),
  );
  expect(result).toBe('undone');
  const [undone, failed] = [
    await telemetry.span('step redeem-card'),
    await telemetry.span('step settle-payment'),
  ];
  const span = await telemetry.span('compensate redeem-card');
  expect(span.parentSpanId).toBe((await telemetry.span('saga')).spanId);
  expect(span.attributes).toMatchObject({
    'saga.step': 'redeem-card',
    'saga.compensation.original_trace_id': undone.traceId,
    'saga.compensation.original_span_id': undone.spanId,
  });
  expect(span.links).toEqual([
    { traceId: undone.traceId, spanId: undone.spanId, attributes: { 'throughline.link.reason': 'undoes' } },
    {
      traceId: failed.traceId,
      spanId: failed.spanId,
      attributes: { 'throughline.link.reason': 'failed-step' },
    },
  ]);
});

test('runs all the same when the carriers were lost or forged', async () => {
  const forged = { traceparent: 'nonsense' };
  await inCompensationSpan({ step: 'redeem-card', undoes: {}, failedStep: forged }, async () => {});
  const span = await telemetry.span('compensate redeem-card');
  expect(span.links).toEqual([]);
  expect(span.attributes).toEqual({ 'saga.step': 'redeem-card' });
});

test('ends with the failure of the compensation on it', async () => {
  const failing = inCompensationSpan({ step: 'redeem-card', undoes: {}, failedStep: {} }, async () => {
    throw Object.assign(new Error('card service down'), { code: 'PARTNER_UNAVAILABLE' });
  });
  await expect(failing).rejects.toThrow('card service down');
  expect(await telemetry.span('compensate redeem-card')).toMatchObject({
    status: { code: 'ERROR', message: 'card service down' },
    attributes: { 'error.type': 'PARTNER_UNAVAILABLE' },
  });
});
