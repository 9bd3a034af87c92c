import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTestTelemetry, type TestTelemetry } from '../../test/fakes/telemetry.ts';
import { inSpan } from './in-span.ts';

let telemetry: TestTelemetry;
beforeEach(() => {
  telemetry = startTestTelemetry();
});
afterEach(() => telemetry.stop());

test('the span is active inside, also after an await, and not outside', async () => {
  const result = await inSpan('outer', {}, async (span) => {
    await Promise.resolve();
    expect(trace.getSpan(context.active())).toBe(span);
    await inSpan('inner', {}, async () => {});
    return 7;
  });
  expect(result).toBe(7);
  expect(trace.getSpan(context.active())).toBeUndefined();
  expect((await telemetry.span('inner')).parentSpanId).toBe((await telemetry.span('outer')).spanId);
});

test('a given parent wins over the active context', async () => {
  await inSpan('active', {}, () => inSpan('detached', { parent: ROOT_CONTEXT }, async () => {}));
  expect(await telemetry.span('detached')).not.toHaveProperty('parentSpanId');
});

test('work that throws before its first await ends the span as well', async () => {
  const failing = inSpan('work', {}, () => {
    throw new Error('at once');
  });
  await expect(failing).rejects.toThrow('at once');
  expect((await telemetry.span('work')).status).toEqual({ code: 'ERROR', message: 'at once' });
});
