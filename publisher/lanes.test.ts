import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createMemorySink, type MemorySink } from '../test/fakes/memory-sink.ts';
import { Batcher } from './batcher.ts';
import { createLanes } from './lanes.ts';

let sink: MemorySink;
beforeEach(() => {
  vi.useFakeTimers();
  sink = createMemorySink();
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const message = (name: string, orderingKey?: string) => ({
  data: new Uint8Array(),
  attributes: { name },
  ...(orderingKey !== undefined && { orderingKey }),
});

test('messages of two keys or two topics never share a request', async () => {
  const lanes = createLanes(sink, { maxDelayMs: 0 });
  const sent = [
    lanes.add('jobs', message('a', 'k1')),
    lanes.add('jobs', message('b', 'k2')),
    lanes.add('jobs', message('c')),
    lanes.add('other', message('d', 'k1')),
    lanes.add('jobs', message('e', 'k1')),
  ];
  await vi.advanceTimersByTimeAsync(5);
  await Promise.all(sent);
  const requests = sink.requests.map(
    ({ topic, messages }) => `${topic}: ${messages.map(({ attributes }) => attributes['name'])}`,
  );
  expect(requests.toSorted()).toEqual(['jobs: a,e', 'jobs: b', 'jobs: c', 'other: d']);
});

test('a failure of one key does not touch the others', async () => {
  sink.hold();
  const lanes = createLanes(sink, undefined);
  const first = lanes.add('jobs', message('a', 'k1')).catch((error: Error) => error.message);
  const second = lanes.add('jobs', message('b', 'k2'));
  await vi.advanceTimersByTimeAsync(5);
  sink.answer(new Error('no'));
  sink.answer();
  expect(await first).toBe('no');
  expect(await second).toBe('stored-1');
});

test('lanes of idle ordering keys are forgotten, so that a million orders do not leak', async () => {
  const drained = vi.spyOn(Batcher.prototype, 'drained');
  const lanes = createLanes(sink, { maxDelayMs: 0 });
  const sent = Array.from({ length: 500 }, (_, i) => lanes.add('jobs', message('x', `order-${i}`)));
  sent.push(lanes.add('jobs', message('x')));
  await vi.advanceTimersByTimeAsync(5);
  await Promise.all(sent);
  drained.mockClear();
  await lanes.drained();
  expect(drained).toHaveBeenCalledTimes(1); // the lane without a key is kept
});

test('a key whose lane was forgotten is still in order when it is used again', async () => {
  sink.hold();
  const lanes = createLanes(sink, { maxDelayMs: 0 });
  const send = async (name: string) => {
    const sent = lanes.add('jobs', message(name, 'k'));
    await vi.advanceTimersByTimeAsync(5);
    sink.answer();
    return sent;
  };
  expect([await send('a'), await send('b')]).toEqual(['stored-1', 'stored-2']);
  const [c, d] = [lanes.add('jobs', message('c', 'k')), lanes.add('jobs', message('d', 'k'))];
  await vi.advanceTimersByTimeAsync(5);
  sink.answer();
  await Promise.all([c, d]);
  expect(sink.maxTogether).toBe(1);
});

test('is drained when every lane is, also of what is added while it waits', async () => {
  sink.hold();
  const lanes = createLanes(sink, { maxDelayMs: 0 });
  await lanes.drained();
  const first = lanes.add('jobs', message('a', 'k'));
  let isDrained = false;
  const drained = lanes.drained().then(() => {
    isDrained = true;
  });
  await vi.advanceTimersByTimeAsync(5);
  const second = first.then(() => lanes.add('jobs', message('b', 'k')));
  sink.answer();
  await vi.advanceTimersByTimeAsync(5);
  expect(isDrained).toBe(false);
  sink.answer();
  await Promise.all([second, drained]);
});
