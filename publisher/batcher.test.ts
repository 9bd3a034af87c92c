import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { OutgoingMessage } from '../shared/pubsub/message-sink.ts';
import { createMemorySink, type MemorySink } from '../test/fakes/memory-sink.ts';
import { Batcher, type BatchingOptions } from './batcher.ts';

let sink: MemorySink;
beforeEach(() => {
  vi.useFakeTimers();
  sink = createMemorySink();
});
afterEach(() => vi.useRealTimers());

function message(name: string, bytes = 10): OutgoingMessage {
  return { data: Buffer.alloc(bytes - name.length - 1), attributes: { n: name } };
}

function batcher(options: BatchingOptions = {}, ordered = false): Batcher {
  return new Batcher(sink, 'jobs', ordered, options);
}

const names = (messages: readonly OutgoingMessage[]) =>
  messages.map(({ attributes }) => attributes['n']).join('');
const batches = () => sink.requests.map(({ messages }) => names(messages));

/** Adds one message for each character. */
function addAll(to: Batcher, text: string): Promise<string>[] {
  return [...text].map((name) => to.add(message(name)));
}

/** How each settled, without making a rejection unhandled. */
function outcomesOf(promises: readonly Promise<string>[]): Promise<string[]> {
  return Promise.all(promises.map((promise) => promise.catch((error: Error) => `refused: ${error.message}`)));
}

describe('when a batch leaves', () => {
  test('the first message after a quiet time leaves in the same turn of the event loop', async () => {
    addAll(batcher({ maxDelayMs: 1_000 }), 'a');
    await vi.advanceTimersByTimeAsync(0);
    expect(batches()).toEqual(['a']);
  });

  test('those that follow it within the delay leave together when it is over', async () => {
    const lane = batcher({ maxDelayMs: 100 });
    addAll(lane, 'a');
    await vi.advanceTimersByTimeAsync(40);
    addAll(lane, 'bc');
    await vi.advanceTimersByTimeAsync(30);
    addAll(lane, 'd');
    await vi.advanceTimersByTimeAsync(29);
    expect(batches()).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(1);
    expect(batches()).toEqual(['a', 'bcd']);
  });

  test('a full batch does not wait for the delay', async () => {
    const lane = batcher({ maxMessages: 3, maxDelayMs: 1_000 });
    addAll(lane, 'a');
    await vi.advanceTimersByTimeAsync(0);
    addAll(lane, 'bcd');
    expect(batches()).toEqual(['a', 'bcd']);
  });

  test('more than one batch may be full at once', async () => {
    addAll(batcher({ maxMessages: 2 }), 'abcde');
    expect(batches()).toEqual(['ab', 'cd']);
    await vi.advanceTimersByTimeAsync(10);
    expect(batches()).toEqual(['ab', 'cd', 'e']);
  });

  test('bytes bound a batch too, and one message larger than the bound leaves alone', async () => {
    const lane = batcher({ maxBytes: 25, maxDelayMs: 0 });
    addAll(lane, 'abc');
    lane.add(message('L', 90));
    addAll(lane, 'd');
    await vi.advanceTimersByTimeAsync(1);
    expect(batches()).toEqual(['ab', 'c', 'L', 'd']);
  });

  test('bytes that have left do not count for the next batch', async () => {
    const lane = batcher({ maxBytes: 25, maxDelayMs: 100 });
    addAll(lane, 'abc');
    await vi.advanceTimersByTimeAsync(100);
    expect(batches()).toEqual(['ab', 'c']);
    addAll(lane, 'd');
    await vi.advanceTimersByTimeAsync(99);
    expect(batches()).toEqual(['ab', 'c']);
    await vi.advanceTimersByTimeAsync(1);
    expect(batches()).toEqual(['ab', 'c', 'd']);
  });

  test('resolves each message with its own id', async () => {
    const ids = await Promise.all([...addAll(batcher({ maxMessages: 2 }), 'abcd')]);
    expect(ids).toEqual(['stored-1', 'stored-2', 'stored-3', 'stored-4']);
  });

  test('fails only the messages of the request that failed (B1)', async () => {
    sink.hold();
    const sent = addAll(batcher({ maxMessages: 2 }), 'abcd');
    const outcomes = outcomesOf(sent);
    sink.answer(new Error('no'));
    sink.answer();
    expect(await outcomes).toEqual(['refused: no', 'refused: no', 'stored-1', 'stored-2']);
  });

  test('a sink that throws at once fails the messages and nothing else', async () => {
    const throwing = {
      publish: () => {
        throw new Error('at once');
      },
      close: async () => {},
    };
    const lane = new Batcher(throwing, 'jobs', false, { maxMessages: 1 });
    expect(await outcomesOf([lane.add(message('a'))])).toEqual(['refused: at once']);
    expect(lane.isIdle).toBe(true);
  });
});

describe('with an ordering key (B2)', () => {
  test('one request is under way at a time', async () => {
    sink.hold();
    const lane = batcher({ maxMessages: 1, maxInFlight: 10 }, true);
    const ids = Promise.all(addAll(lane, 'abc'));
    for (let answered = 0; answered < 3; answered++) {
      await vi.advanceTimersByTimeAsync(20);
      expect(sink.requests).toHaveLength(answered + 1);
      sink.answer();
    }
    expect(await ids).toHaveLength(3);
    expect(batches()).toEqual(['a', 'b', 'c']);
  });

  test('a failure refuses what waits behind it and what comes after it, until it is resumed', async () => {
    sink.hold();
    const lane = batcher({ maxMessages: 1 }, true);
    const outcomes = outcomesOf(addAll(lane, 'abc'));
    sink.answer(new Error('no'));
    const paused = expect.stringContaining('waits for resume()');
    expect(await outcomes).toEqual(['refused: no', paused, paused]);
    expect(await outcomesOf(addAll(lane, 'd'))).toEqual([paused]);
    expect(batches()).toEqual(['a']);
    lane.resume();
    addAll(lane, 'e');
    await vi.advanceTimersByTimeAsync(10);
    expect(batches()).toEqual(['a', 'e']);
  });
});

describe('drained', () => {
  test('resolves at once when nothing was ever added', async () => {
    await batcher().drained();
  });

  test('resolves once the last request has ended, also when it failed', async () => {
    sink.hold();
    const lane = batcher({ maxMessages: 1, maxInFlight: 1 });
    const outcomes = outcomesOf(addAll(lane, 'ab'));
    let isDrained = false;
    const drained = Promise.all([lane.drained(), lane.drained()]).then(() => {
      isDrained = true;
    });
    sink.answer();
    await vi.advanceTimersByTimeAsync(10);
    expect(isDrained).toBe(false);
    sink.answer(new Error('no'));
    await drained;
    expect(await outcomes).toEqual(['stored-1', 'refused: no']);
    expect(lane.isIdle).toBe(true);
  });

  test('waits for every request that is under way, not for the first', async () => {
    sink.hold();
    const lane = batcher({ maxMessages: 1, maxInFlight: 2 });
    const sent = addAll(lane, 'ab');
    let isDrained = false;
    const drained = lane.drained().then(() => {
      isDrained = true;
    });
    sink.answer();
    await vi.advanceTimersByTimeAsync(10);
    expect(isDrained).toBe(false);
    sink.answer();
    await drained;
    await Promise.all(sent);
  });

  test('leaves no timer behind', async () => {
    const lane = batcher({ maxMessages: 2 });
    addAll(lane, 'abcd');
    await lane.drained();
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('every message is in exactly one request and in order, for any sizes, bounds and failures (B1, B2)', async () => {
  const step = fc.record({
    bytes: fc.integer({ min: 2, max: 60 }),
    pauseMs: fc.constantFrom(0, 0, 0, 1, 7, 30),
  });
  const bounds = fc.record({
    maxMessages: fc.integer({ min: 1, max: 5 }),
    maxBytes: fc.integer({ min: 1, max: 100 }),
    maxDelayMs: fc.constantFrom(0, 5, 20),
    maxInFlight: fc.integer({ min: 1, max: 3 }),
  });
  const failures = fc.array(fc.boolean(), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 25 }),
      bounds,
      fc.boolean(),
      failures,
      async (steps, options, ordered, fails) => {
        const requests: string[][] = [];
        const lane = new Batcher(
          {
            publish: async (_topic, messages) => {
              requests.push(messages.map(({ orderingKey = '' }) => orderingKey));
              const fail = fails[requests.length - 1];
              await Promise.resolve();
              if (fail) throw new Error('no');
              return messages.map(({ orderingKey = '' }) => orderingKey);
            },
            close: async () => {},
          },
          'jobs',
          ordered,
          options,
        );
        const sent: Promise<string>[] = [];
        for (const [i, { bytes, pauseMs }] of steps.entries()) {
          sent.push(lane.add({ data: Buffer.alloc(bytes), attributes: {}, orderingKey: `${i}` }));
          sent.at(-1)?.catch(() => {});
          await vi.advanceTimersByTimeAsync(pauseMs);
        }
        await vi.advanceTimersByTimeAsync(5_000);
        const outcomes = await Promise.allSettled(sent);
        const all = requests.flat();
        expect(new Set(all).size).toBe(all.length);
        expect(all.map(Number)).toEqual(all.map(Number).toSorted((a, b) => a - b));
        const stored = new Set(requests.filter((_, i) => !fails[i]).flat());
        for (const [i, outcome] of outcomes.entries()) {
          expect(outcome.status).toBe(stored.has(`${i}`) ? 'fulfilled' : 'rejected');
          if (outcome.status === 'fulfilled') expect(outcome.value).toBe(`${i}`);
        }
        if (!ordered) expect(all).toHaveLength(steps.length);
        expect(lane.isIdle).toBe(true);
        for (const request of requests) expect(request.length).toBeLessThanOrEqual(options.maxMessages);
      },
    ),
    { numRuns: 150 },
  );
});
