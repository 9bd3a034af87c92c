import { describe, expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { defineJob } from '../../shared/job/define.ts';
import { MAX_TIMER_MS } from '../../shared/max-timer.ts';
import type { Transaction } from '../../shared/storage/database.ts';
import { type AttemptPolicy, type Compensation, defineSaga, SagaDefinitionError } from './define.ts';
import { skip } from './skip.ts';
import { isSuspension, suspend } from './suspend.ts';

const nothing = async () => {};
const none = skip('it only reads');
const sendMail = defineJob({
  name: 'mail.send',
  version: 1,
  topic: 'jobs',
  payload: z.strictObject({ to: z.string() }),
});

const input = z.object({ key: z.string(), count: z.coerce.number() });
const begin = () => defineSaga({ name: 'order', version: 1, input });

describe('types', () => {
  test('a step sees the parsed input and what the steps before it return', () => {
    begin()
      .step('first', {
        run: async (context) => {
          expectTypeOf(context.input).toEqualTypeOf<{ key: string; count: number }>();
          expectTypeOf(context.results).toEqualTypeOf<unknown>();
          expectTypeOf(context.signal).toEqualTypeOf<AbortSignal>();
          return { id: 7 };
        },
        compensate: none,
      })
      .transaction('second', {
        transaction: async (tx, { results }) => {
          expectTypeOf(tx).toEqualTypeOf<Transaction>();
          expectTypeOf(results.first).toEqualTypeOf<{ id: number }>();
          return results.first.id > 0;
        },
        compensate: none,
      })
      .step('third', {
        run: async ({ results }) => {
          expectTypeOf(results.second).toEqualTypeOf<boolean>();
          expectTypeOf(results.first.id).toEqualTypeOf<number>();
          // @ts-expect-error: a step does not see its own result
          return results.third;
        },
        compensate: none,
      });
  });

  test('a compensation sees what its own step returned, or undefined', () => {
    begin()
      .step('function', {
        run: async () => ({ id: 7 }),
        compensate: async ({ result, failure, undoes }) => {
          expectTypeOf(result).toEqualTypeOf<{ id: number } | undefined>();
          expectTypeOf(failure.type).toEqualTypeOf<string>();
          expectTypeOf(undoes).toEqualTypeOf<string>();
        },
      })
      .transaction('transaction', {
        transaction: async () => 'row-1',
        compensate: {
          transaction: async (tx, { result, results }) => {
            expectTypeOf(tx).toEqualTypeOf<Transaction>();
            expectTypeOf(result).toEqualTypeOf<string | undefined>();
            expectTypeOf(results.function.id).toEqualTypeOf<number>();
          },
        },
      })
      .step('object', {
        run: async () => 1,
        compensate: {
          run: async ({ result }) => {
            expectTypeOf(result).toEqualTypeOf<number | undefined>();
          },
        },
      });
  });

  test('a job step takes the payload that its schema reads, and its result is what its schema makes', () => {
    begin()
      .job('mail', {
        job: sendMail,
        payload: ({ input: { key } }) => ({ to: key }),
        result: z.object({ at: z.string().transform(Number) }),
        compensate: {
          job: sendMail,
          payload: ({ result }) => {
            expectTypeOf(result).toEqualTypeOf<{ at: number } | undefined>();
            return { to: 'nobody' };
          },
        },
      })
      .step('after', {
        run: async ({ results }) => expectTypeOf(results.mail).toEqualTypeOf<{ at: number }>(),
        compensate: none,
      });
    begin().job('wrong', {
      job: sendMail,
      // @ts-expect-error: the job's schema asks for `to`
      payload: () => ({ from: 'me' }),
      result: z.null(),
      compensate: none,
    });
  });

  test('a resume gets what the signal and the suspension hold, and returns what the step does', () => {
    begin()
      .step('pay', {
        run: async () => suspend('3ds', { timeoutMs: 1_000, data: { url: 'https://bank.example' } }),
        signal: {
          name: '3ds',
          payload: z.object({ approved: z.stringbool() }),
          resume: async (_, payload, data) => {
            expectTypeOf(payload).toEqualTypeOf<{ approved: boolean }>();
            expectTypeOf(data).toEqualTypeOf<{ url: string }>();
            return { paid: payload.approved };
          },
        },
        compensate: async ({ result }) => {
          expectTypeOf(result).toEqualTypeOf<{ paid: boolean } | undefined>();
        },
      })
      .step('after', {
        run: async ({ results }) => expectTypeOf(results.pay).toEqualTypeOf<{ paid: boolean }>(),
        compensate: none,
      });
  });

  test('what begins a saga is what its schema reads, and its results are known by name', () => {
    const saga = begin()
      .step('one', { run: async () => 1 as const, compensate: none })
      .build();
    expectTypeOf(saga.input).toEqualTypeOf<typeof input>();
    expectTypeOf(saga.results).toEqualTypeOf<(unknown & { readonly one: 1 }) | undefined>();
  });
});

describe('defaults', () => {
  test('a step is tried four times within half a minute each, a compensation eight times', () => {
    const saga = begin().step('a', { run: nothing, compensate: nothing }).build();
    expect(saga.steps).toMatchObject([
      {
        name: 'a',
        timeoutMs: 30_000,
        retry: { maxAttempts: 4, minBackoffMs: 200, maxBackoffMs: 10_000 },
        compensation: {
          kind: 'run',
          timeoutMs: 30_000,
          retry: { maxAttempts: 8, minBackoffMs: 500, maxBackoffMs: 60_000 },
        },
      },
    ]);
  });

  test('a job is awaited for an hour, and so is a compensation that is a job', () => {
    const compensate = { job: sendMail, payload: () => ({ to: 'x' }) };
    const saga = begin()
      .job('a', { job: sendMail, payload: () => ({ to: 'x' }), result: z.null(), compensate })
      .build();
    expect(saga.steps[0]).toMatchObject({ timeoutMs: 3_600_000, compensation: { timeoutMs: 3_600_000 } });
  });

  test('what is given stays, and the rest of a retry policy is filled in', () => {
    const policy = { timeoutMs: 5, retry: { maxAttempts: 2 }, isFinal: () => true };
    const saga = begin()
      .transaction('a', { transaction: nothing, ...policy, compensate: { transaction: nothing, ...policy } })
      .build();
    expect(saga.steps[0]).toMatchObject({
      timeoutMs: 5,
      retry: { maxAttempts: 2, minBackoffMs: 200 },
      isFinal: policy.isFinal,
      compensation: { kind: 'run', timeoutMs: 5, retry: { maxAttempts: 2, minBackoffMs: 500 } },
    });
  });

  test('a skip keeps its reason', () => {
    expect(begin().step('a', { run: nothing, compensate: none }).build().steps[0]?.compensation).toEqual({
      kind: 'skip',
      reason: 'it only reads',
    });
  });

  test('a built saga does not grow with its builder', () => {
    const builder = begin().step('a', { run: nothing, compensate: none });
    const saga = builder.build();
    builder.step('b', { run: nothing, compensate: none });
    expect(saga.steps).toHaveLength(1);
  });
});

test('a result that merely looks like a suspension is a result', () => {
  expect(isSuspension(suspend('3ds', { timeoutMs: 1, data: null }))).toBe(true);
  expect(isSuspension({ suspend: '3ds', timeoutMs: 1, data: null })).toBe(false);
  expect(isSuspension(null)).toBe(false);
});

describe('refuses, with the problem in its message,', () => {
  const withStep = (policy: AttemptPolicy) => () =>
    begin()
      .step('a', { run: nothing, compensate: none, ...policy })
      .build();
  const undoneBy = (compensate: Compensation<unknown, unknown, void>) => () =>
    begin().step('a', { run: nothing, compensate }).build();
  const named = (name: string, version = 1) =>
    defineSaga({ name, version, input }).step('a', { run: nothing, compensate: none });
  const signal = { name: 'go', payload: z.null(), resume: nothing };
  const cases: [string, () => unknown, string][] = [
    [
      'a name that is not made of lower-case words',
      () => named('Order Saga').build(),
      'name: expected lower-case',
    ],
    ['a version below 1', () => named('order', 0).build(), 'version: expected 1, 2, 3 …, got 0'],
    ['a version between two', () => named('order', 1.5).build(), 'version: expected 1, 2, 3 …, got 1.5'],
    ['a saga without steps', () => begin().build(), 'steps: expected at least one'],
    [
      'a step name that is used twice',
      () => named('order').step('a', { run: nothing, compensate: none }).build(),
      'step "a": the name is used twice',
    ],
    [
      'a signal that two steps wait for',
      () =>
        begin()
          .step('a', { run: nothing, signal, compensate: none })
          .step('b', { run: nothing, signal, compensate: none })
          .build(),
      'signal "go": two steps wait for it',
    ],
    [
      'a step name that is not made of lower-case words',
      () => begin().step('Step A', { run: nothing, compensate: none }).build(),
      'step "Step A": expected lower-case words joined by dashes as its name',
    ],
    [
      'a time-out of nothing',
      withStep({ timeoutMs: 0 }),
      `timeoutMs: expected more than 0, at most ${MAX_TIMER_MS}, got 0`,
    ],
    [
      'a time-out that no timer can hold',
      withStep({ timeoutMs: 2 ** 31 }),
      'timeoutMs: expected more than 0',
    ],
    ['a time-out that is no number', withStep({ timeoutMs: Number.NaN }), 'got NaN'],
    [
      'no attempt at all',
      withStep({ retry: { maxAttempts: 0 } }),
      'retry.maxAttempts: expected 1 or more, got 0',
    ],
    [
      'a negative backoff',
      withStep({ retry: { minBackoffMs: -1 } }),
      'retry.minBackoffMs: expected 0 or more, got -1',
    ],
    [
      'a longest backoff below the shortest',
      withStep({ retry: { minBackoffMs: 10, maxBackoffMs: 5 } }),
      'retry.maxBackoffMs: expected minBackoffMs to 600000, got 5',
    ],
    ['a backoff beyond the longest', withStep({ retry: { maxBackoffMs: 600_001 } }), 'got 600001'],
    ['a skip without a reason', undoneBy(skip('')), 'skip: expected a reason'],
    [
      'a compensation without attempts',
      undoneBy({ run: nothing, retry: { maxAttempts: 0.5 } }),
      'compensate.retry.maxAttempts: expected 1 or more, got 0.5',
    ],
    [
      'a compensation without time',
      undoneBy({ run: nothing, timeoutMs: -1 }),
      'compensate.timeoutMs: expected more than 0',
    ],
    [
      'a compensation job that is awaited for no time',
      undoneBy({ job: sendMail, payload: () => ({ to: 'x' }), timeoutMs: 0 }),
      'compensate.timeoutMs: expected more than 0',
    ],
  ];
  test.each(cases)('%s', (_, define, problem) => {
    expect(define).toThrow(SagaDefinitionError);
    expect(define).toThrow(problem);
  });

  test('all problems at once', () => {
    const define = () =>
      defineSaga({ name: 'No', version: -1, input })
        .step('a', { run: nothing, timeoutMs: -5, retry: { maxAttempts: 0 }, compensate: skip('') })
        .build();
    expect(define).toThrow(
      /saga "No": name: .*; version: .*; step "a": timeoutMs: .*; step "a": retry\.max.*; step "a": skip: /,
    );
  });
});
