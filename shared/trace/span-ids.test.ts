import { type Span, trace } from '@opentelemetry/api';
import { afterEach, expect, test, vi } from 'vitest';

afterEach(() => vi.resetModules());

const random = { generateTraceId: () => 'f'.repeat(32), generateSpanId: () => 'e'.repeat(16) };
const chosen = { traceId: '1'.repeat(32), spanId: '2'.repeat(16) };
const aSpan = (): Span => trace.wrapSpanContext({ ...chosen, traceFlags: 0 });
const load = () => import('./span-ids.ts');

test('chosen ids are used for the one span that is started, and random ones before and after', async () => {
  const { createIdGenerator, startWithIds } = await load();
  const ids = createIdGenerator(random);
  const drawn: string[] = [];
  const draw = () => drawn.push(ids.generateSpanId(), ids.generateTraceId());
  draw();
  startWithIds(chosen, () => {
    draw();
    return aSpan();
  });
  draw();
  expect(drawn).toEqual([
    random.generateSpanId(),
    random.generateTraceId(),
    chosen.spanId,
    chosen.traceId,
    random.generateSpanId(),
    random.generateTraceId(),
  ]);
});

test('a start that fails does not leave its ids to the next span', async () => {
  const { createIdGenerator, startWithIds } = await load();
  const ids = createIdGenerator(random);
  const failing = () =>
    startWithIds(chosen, () => {
      throw new Error('no');
    });
  expect(failing).toThrow('no');
  expect(ids.generateSpanId()).toBe(random.generateSpanId());
});

test('a chosen span id alone leaves the trace id to chance', async () => {
  const { createIdGenerator, startWithIds } = await load();
  const ids = createIdGenerator(random);
  const traceIds: string[] = [];
  startWithIds({ spanId: chosen.spanId }, () => {
    traceIds.push(ids.generateTraceId());
    return aSpan();
  });
  expect(traceIds).toEqual([random.generateTraceId()]);
});

test('derived ids follow from the seed alone and are valid', async () => {
  const { deriveIds } = await load();
  expect(deriveIds('a')).toEqual(deriveIds('a'));
  expect(deriveIds('a').spanId).not.toBe(deriveIds('b').spanId);
  expect(trace.isSpanContextValid({ ...deriveIds(''), traceFlags: 0 })).toBe(true);
});

test('chosen ids count as used as soon as a provider has our generator, and not before', async () => {
  const { chosenIdsAreUsed, createIdGenerator } = await load();
  expect(chosenIdsAreUsed()).toBe(false);
  createIdGenerator(random);
  // A worker that was restarted asks before it has started any span: its first delivery may be attempt 2.
  expect(chosenIdsAreUsed()).toBe(true);
});
