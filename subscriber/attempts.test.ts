import { TraceFlags } from '@opentelemetry/api';
import { beforeEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { deliveryOf } from '../test/fakes/delivery.ts';
import type * as AttemptsModule from './attempts.ts';

const job = { name: 'mail.send', version: 1, topic: 'jobs', payload: z.unknown() };
const TRACE = 'a'.repeat(32);
const SPAN = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16), traceFlags: 1 };

let createAttempts: typeof AttemptsModule.createAttempts;
/** As in a process that has just started, with telemetry and without a span so far. */
beforeEach(async () => {
  vi.resetModules();
  ({ createAttempts } = await import('./attempts.ts'));
  const { createIdGenerator } = await import('../shared/trace/span-ids.ts');
  createIdGenerator({ generateTraceId: () => '', generateSpanId: () => '' });
});

const attempt = (
  deliveryAttempt: number | undefined,
  { number = deliveryAttempt ?? 1, localTry = 1, id = 'm1' } = {},
) =>
  deliveryOf(job, {
    attempt: number,
    localTry,
    message: { id, deliveryAttempt },
  });

test('a worker that was just started knows the span of the attempt that another one made', () => {
  const [killed, restarted] = [createAttempts(), createAttempts()];
  const first = killed.idsFor(attempt(1));
  expect(restarted.previous(attempt(2), TRACE, TraceFlags.SAMPLED)).toEqual({
    traceId: TRACE,
    spanId: first?.spanId,
    traceFlags: TraceFlags.SAMPLED,
    isRemote: true,
  });
});

test('an attempt of a message without context is looked for in the trace that it began', () => {
  const attempts = createAttempts();
  const first = attempts.idsFor(attempt(1));
  expect(attempts.previous(attempt(2), undefined, TraceFlags.SAMPLED)).toMatchObject({ ...first });
});

test('every attempt, local try, message and subscription has ids of its own', () => {
  const attempts = createAttempts();
  const deliveries = [
    attempt(1),
    attempt(2),
    attempt(1, { localTry: 2 }),
    attempt(1, { id: 'm2' }),
    { ...attempt(1), subscription: 'other' },
  ];
  expect(new Set(deliveries.map((one) => attempts.idsFor(one)?.spanId)).size).toBe(deliveries.length);
});

test('the first attempt has none before it', () => {
  const attempts = createAttempts();
  attempts.remember(attempt(1), SPAN);
  expect(attempts.previous(attempt(1), TRACE, TraceFlags.SAMPLED)).toBeUndefined();
});

test('what this process remembers is more exact than what can be derived', () => {
  const attempts = createAttempts();
  attempts.remember(attempt(1), { ...SPAN, spanId: 'e'.repeat(16) });
  attempts.remember(attempt(1, { localTry: 2 }), SPAN);
  expect(attempts.previous(attempt(2), TRACE, TraceFlags.SAMPLED)).toBe(SPAN);
});

test('where deliveries are not counted ids are left to chance and only memory links attempts', () => {
  const attempts = createAttempts();
  const second = attempt(undefined, { number: 2 });
  expect(attempts.idsFor(second)).toBeUndefined();
  expect(attempts.previous(second, TRACE, TraceFlags.SAMPLED)).toBeUndefined();
  attempts.remember(attempt(undefined), SPAN);
  expect(attempts.previous(second, TRACE, TraceFlags.SAMPLED)).toBe(SPAN);
});

test('without our id generator nothing is derived, for the span would bear another id', async () => {
  vi.resetModules();
  const fresh = await import('./attempts.ts');
  expect(fresh.createAttempts().previous(attempt(2), TRACE, TraceFlags.SAMPLED)).toBeUndefined();
});
