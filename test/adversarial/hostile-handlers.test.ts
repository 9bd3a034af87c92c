import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Outcome } from '../../shared/index.ts';
import { createMemorySink } from '../fakes/memory-sink.ts';
import { createMemorySource } from '../fakes/memory-source.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { type Stage, startStage } from '../support/stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await startStage(EMBEDDED);
});
afterAll(() => stage.close());

const unstringable = {
  toString: () => {
    throw new Error('no text');
  },
};
/** What handlers throw and return when nobody has thought about it. */
const thrown: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    0,
    '',
    'a string',
    Symbol('a symbol'),
    Object.create(null),
    unstringable,
    Object.freeze(new Error('frozen')),
    Object.assign(new Error('typed oddly'), { name: 7, code: {}, retryable: 'no' }),
    new Error('x'.repeat(100_000)),
    new Error('half a pair \ud83d'),
    new Error('\u001b[31mred\u0000'),
    new AggregateError([new Error('one'), new Error('two')]),
    new DOMException('aborted by somebody else', 'AbortError'),
  ),
  fc
    .constantFrom<unknown>(Number.NaN, Number.POSITIVE_INFINITY, -1, 1e308, '5', null)
    .map((retryAfterMs) => Object.assign(new Error('later'), { retryAfterMs })),
  fc.string().map((message) => Object.assign(new Error(message), { retryable: false })),
);

const returned: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    true,
    'done',
    { kind: 'finished' },
    { kind: 'DONE' },
    [],
    () => {},
  ),
  fc
    .constantFrom<unknown>(Number.NaN, Number.POSITIVE_INFINITY, -1, 1e308)
    .map((afterMs) => ({ kind: 'retry', reason: 'r', afterMs })),
  fc.constantFrom<unknown>(
    { kind: 'retry' },
    { kind: 'deadLetter' },
    { kind: 'deadLetter', reason: 7 },
    { kind: 'deadLetter', reason: 'x'.repeat(100_000) },
    { kind: 'cancelled' },
  ),
);

describe('whatever a handler throws or returns', () => {
  test('the delivery is settled once: acked after done, cancelled or its dead letter, else handed back', async () => {
    const source = createMemorySource();
    const sink = createMemorySink();
    const channel = await stage.newChannel();
    const job = channel.job({ retry: { maxAttempts: 2, minBackoffMs: 5, maxBackoffMs: 10 } });
    let behave: () => unknown = () => undefined;
    await channel.work((worker) => worker.handle(job, async () => behave() as Outcome), { source, sink });
    const attributes = { 'ce-type': job.type };
    const data = Buffer.from('{"text":"x"}');
    let settled = 0;
    const deliver = async (deliveryAttempt: number) => {
      const lettersBefore = sink.messages.length;
      settled += 1;
      const { id } = source.deliver({ id: `m-${settled}`, data, attributes, deliveryAttempt });
      const { outcome } = (await channel.settled.all(settled)).at(-1) ?? {};
      const answers = source.settlements.filter(({ message }) => message.id === id);
      expect(answers).toHaveLength(1);
      const letters = sink.messages.slice(lettersBefore);
      return { outcome, answer: answers[0], letters };
    };
    const misbehaviour = fc.oneof(
      thrown.map((error) => ({ error })),
      returned.map((value) => ({ value })),
    );
    await fc.assert(
      fc.asyncProperty(misbehaviour, fc.integer({ min: 1, max: 2 }), async (how, attempt) => {
        behave = () => {
          if ('error' in how) throw how.error;
          return how.value;
        };
        const { outcome, answer, letters } = await deliver(attempt);
        if (outcome === 'deadLetter') {
          expect(answer?.kind).toBe('ack');
          expect(letters).toHaveLength(1);
          const reason = letters[0]?.attributes['dead-letter-reason'];
          expect(reason).toEqual(expect.any(String));
          expect(reason?.isWellFormed()).toBe(true);
        } else if (outcome === 'retry') {
          expect(attempt).toBe(1);
          expect(answer?.kind).toBe('nack');
          expect(answer?.afterMs).toBeGreaterThanOrEqual(0);
          expect(letters).toEqual([]);
        } else {
          expect('value' in how && how.value).toMatchObject({ kind: outcome });
          expect(answer?.kind).toBe('ack');
        }
      }),
      { numRuns: 300 },
    );
  });
});
