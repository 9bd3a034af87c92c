import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ThroughlineError } from '../../shared/errors.ts';
import { cancelled, deadLetter, done, type Outcome, retry } from '../../shared/job/outcome.ts';
import { deliveryOf } from '../../test/fakes/delivery.ts';
import { WorkerStoppingError } from '../errors.ts';
import { classify } from './classify.ts';

const job = {
  ...{ name: 'mail.send', version: 1, topic: 'jobs', payload: z.unknown() },
  retry: { maxAttempts: 3, minBackoffMs: 1_000, maxBackoffMs: 4_000 },
};
const live = new AbortController().signal;
const stopped = AbortSignal.abort(new WorkerStoppingError());

class CardRefusedError extends ThroughlineError {
  override readonly name = 'CardRefusedError';
  readonly code = 'CARD_REFUSED';
}

function classified(handler: () => unknown, { attempt = 1, signal = live } = {}): Promise<Outcome> {
  return classify(async () => (await handler()) as Outcome)(deliveryOf(job, { attempt }), signal);
}

function thrown(error: unknown, options = {}): Promise<Outcome> {
  return classified(() => {
    throw error;
  }, options);
}

describe('what a handler returns', () => {
  test.each([[done()], [deadLetter('never')], [cancelled('operator')]])(
    '%j passes as it is',
    async (outcome) => {
      expect(await classified(() => outcome)).toBe(outcome);
    },
  );

  test("a retry without a delay gets the job's backoff", async () => {
    const outcome = await classified(() => retry('later'), { attempt: 2 });
    expect(outcome).toMatchObject({ kind: 'retry', reason: 'later' });
    expect(delayOf(outcome)).toBeGreaterThanOrEqual(1_000);
    expect(delayOf(outcome)).toBeLessThanOrEqual(2_000);
  });

  test.each([0, 1, 599_999])('a retry after %d ms keeps its delay', async (afterMs) => {
    expect(delayOf(await classified(() => retry('later', { afterMs })))).toBe(afterMs);
  });

  test.each([-1, Number.NaN])("a retry after %d ms gets the job's backoff", async (afterMs) => {
    const delay = delayOf(await classified(() => retry('later', { afterMs })));
    expect(delay).toBeGreaterThanOrEqual(500);
    expect(delay).toBeLessThanOrEqual(1_000);
  });

  test.each([600_001, Number.POSITIVE_INFINITY])(
    'a retry after %d ms waits as long as Pub/Sub can',
    async (afterMs) => {
      expect(delayOf(await classified(() => retry('later', { afterMs })))).toBe(600_000);
    },
  );

  test.each([[undefined], [null], ['done'], [true], [{ kind: 'finished' }]])(
    '%j breaks the contract: the job is given up and somebody told',
    async (value) => {
      const outcome = await classified(() => value);
      expect(outcome).toMatchObject({ kind: 'deadLetter', error: { code: 'HANDLER_CONTRACT' } });
      expect((outcome as { reason: string }).reason).toContain('mail.send.v1');
    },
  );
});

describe('what a handler throws', () => {
  test('is a retry with the error, unless it says that it cannot be retried', async () => {
    const error = new Error('down');
    expect(await thrown(error)).toMatchObject({ kind: 'retry', reason: 'Error: down', error });
    const refused = new CardRefusedError('no credit');
    expect(await thrown(refused)).toEqual({
      kind: 'deadLetter',
      reason: 'CARD_REFUSED: no credit',
      error: refused,
    });
  });

  test("obeys an error's own delay", async () => {
    expect(delayOf(await thrown(Object.assign(new Error('429'), { retryAfterMs: 7_000 })))).toBe(7_000);
  });

  test.each([-1, Number.NaN, '5', null])('ignores a delay of %j', async (retryAfterMs) => {
    const delay = delayOf(await thrown(Object.assign(new Error('429'), { retryAfterMs })));
    expect(delay).toBeGreaterThanOrEqual(500);
    expect(delay).toBeLessThanOrEqual(1_000);
  });

  test.each([[undefined], [null], ['text'], [0], [Object.create(null)], [{ retryable: 'false' }]])(
    'is a retry even when it is %j',
    async (value) => {
      expect((await thrown(value)).kind).toBe('retry');
    },
  );
});

describe('at the last attempt', () => {
  test('a retry is a dead letter that tells why', async () => {
    const error = new Error('down');
    expect(await thrown(error, { attempt: 3 })).toEqual({
      kind: 'deadLetter',
      reason: 'gave up after 3 attempts: Error: down',
      error,
    });
    expect((await classified(() => retry('later', { afterMs: 5 }), { attempt: 4 })).kind).toBe('deadLetter');
  });

  test('the attempt before it is still a retry', async () => {
    expect((await thrown(new Error('down'), { attempt: 2 })).kind).toBe('retry');
  });
});

describe('when the worker stops', () => {
  test.each([
    ["the signal's own reason", () => stopped.reason],
    ['an AbortError', () => Object.assign(new Error('aborted'), { name: 'AbortError' })],
    ['a DOMException', () => new DOMException('aborted', 'AbortError')],
    ['an error that wraps the abort', () => new Error('partner down', { cause: stopped.reason })],
    ['one that wraps it twice', () => new CardRefusedErrorWith(new Error('x', { cause: stopped.reason }))],
  ])('%s hands the message back at once, whatever the attempt', async (_what, error) => {
    expect(await thrown(error(), { attempt: 99, signal: stopped })).toMatchObject({
      kind: 'retry',
      afterMs: 0,
      handedBack: true,
    });
  });

  test('a failure of its own is still a failure', async () => {
    expect(await thrown(new Error('down'), { signal: stopped })).not.toHaveProperty('handedBack');
    expect((await thrown(new CardRefusedError('no'), { signal: stopped })).kind).toBe('deadLetter');
  });

  test('an abort that is none of ours is a failure', async () => {
    const own = Object.assign(new Error('aborted'), { name: 'AbortError' });
    expect(await thrown(own)).not.toHaveProperty('handedBack');
  });

  test('a circle of causes does not hang', async () => {
    const circular = new Error('a');
    circular.cause = circular;
    expect((await thrown(circular, { signal: stopped })).kind).toBe('retry');
  });
});

class CardRefusedErrorWith extends ThroughlineError {
  override readonly name = 'CardRefusedErrorWith';
  readonly code = 'CARD_REFUSED';

  constructor(cause: unknown) {
    super('card', { cause });
  }
}

function delayOf(outcome: Outcome): number {
  if (outcome.kind !== 'retry' || outcome.afterMs === undefined) throw new Error(`no delay: ${outcome.kind}`);
  return outcome.afterMs;
}
