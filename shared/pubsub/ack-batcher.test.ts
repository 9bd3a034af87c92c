import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { stubConnection } from '../../test/fakes/stub-connection.ts';
import { createAckBatcher } from './ack-batcher.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

function batching(answer: () => Promise<unknown> = async () => []) {
  const { connection, calls } = stubConnection({
    subscriber: { acknowledge: answer, modifyAckDeadline: answer },
  });
  const errors: Error[] = [];
  return { acks: createAckBatcher(connection, 'sub', (error) => errors.push(error)), calls, errors };
}

const ids = (count: number) => Array.from({ length: count }, (_, i) => `id-${i}`);

test('acks that come together leave together, soon', async () => {
  const { acks, calls } = batching();
  acks.ack('a');
  acks.ack('b');
  expect(calls).toEqual([]);
  await vi.advanceTimersByTimeAsync(50);
  expect(calls).toEqual([['acknowledge', { subscription: 'sub', ackIds: ['a', 'b'] }]]);
});

test('deadlines are grouped by their length, and ten minutes is the longest', async () => {
  const { acks, calls } = batching();
  acks.modifyDeadline('a', 30);
  acks.modifyDeadline('b', 0);
  acks.modifyDeadline('c', 30);
  acks.modifyDeadline('d', 5_000);
  await acks.flush();
  const requests = calls.map(([name, request]) => ({ name, ...(request as object) }));
  expect(requests).toEqual([
    { name: 'modifyAckDeadline', subscription: 'sub', ackIds: ['a', 'c'], ackDeadlineSeconds: 30 },
    { name: 'modifyAckDeadline', subscription: 'sub', ackIds: ['b'], ackDeadlineSeconds: 0 },
    { name: 'modifyAckDeadline', subscription: 'sub', ackIds: ['d'], ackDeadlineSeconds: 600 },
  ]);
});

test('a burst is split so that no request passes 512 KiB, and every id is sent once', async () => {
  const { acks, calls } = batching();
  for (const id of ids(4_500)) acks.ack(id);
  await acks.flush();
  const sent = calls.map(([, request]) => (request as { ackIds: string[] }).ackIds);
  for (const chunk of sent) expect(chunk.length * 200).toBeLessThanOrEqual(512 * 1_024);
  expect(sent.flat()).toEqual(ids(4_500));
});

test('what was sent is not sent again', async () => {
  const { acks, calls } = batching();
  acks.ack('a');
  acks.modifyDeadline('b', 30);
  await acks.flush();
  acks.ack('c');
  acks.modifyDeadline('d', 30);
  await vi.advanceTimersByTimeAsync(50);
  expect(calls.flatMap(([, request]) => (request as { ackIds: string[] }).ackIds)).toEqual([
    'a',
    'b',
    'c',
    'd',
  ]);
});

test('flushing waits for what is under way', async () => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const { acks } = batching(() => promise);
  acks.ack('a');
  let isFlushed = false;
  const flushed = acks.flush().then(() => {
    isFlushed = true;
  });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(isFlushed).toBe(false);
  resolve([]);
  await flushed;
});

test('flushing nothing sends nothing and leaves no timer', async () => {
  const { acks, calls } = batching();
  await acks.flush();
  acks.ack('a');
  await acks.flush();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(calls).toHaveLength(1);
  expect(vi.getTimerCount()).toBe(0);
});

test('a request that fails is reported, fails no flush, and the next one is sent', async () => {
  let fails = true;
  const { acks, calls, errors } = batching(async () => {
    if (fails) throw new Error('refused');
    return [];
  });
  acks.ack('a');
  await acks.flush();
  expect(errors.map(({ message }) => message)).toEqual(['refused']);
  fails = false;
  acks.ack('b');
  await acks.flush();
  expect(calls).toHaveLength(2);
});
