import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTestTelemetry, type TestTelemetry } from '../../test/fakes/telemetry.ts';
import { inSpan } from './in-span.ts';
import { withDerivedIds } from './span-ids.ts';
import { tracer } from './tracer.ts';

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

test('in repeated work a span has the same id, however often its neighbour tried', async () => {
  const run = (tries: number) => {
    const ids: string[] = [];
    const call = (name: string, times: number) =>
      inSpan(name, {}, async (span) => {
        ids.push(span.spanContext().spanId);
        for (let index = 0; index < times; index++) tracer().startSpan('try').end();
      });
    return context.with(withDerivedIds(context.active(), 'step 4'), async () => {
      await call('prepare', tries);
      await call('capture', 1);
      await call('capture', 1);
      return ids;
    });
  };
  const first = await run(3);
  expect(await run(1)).toEqual(first);
  expect(new Set(first).size).toBe(3);
});
