import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineJob, JobDefinitionError } from './define.ts';

const good = { name: 'workspace.set-up', version: 1, topic: 'jobs', payload: z.object({ id: z.string() }) };

test('a job has a type of name and version, and defaults for the rest', () => {
  expect(defineJob(good)).toMatchObject({
    type: 'workspace.set-up.v1',
    timeoutMs: 60_000,
    retry: { maxAttempts: 5, minBackoffMs: 1_000, maxBackoffMs: 600_000 },
    orderingKey: undefined,
  });
});

test('one retry setting leaves the others at their defaults', () => {
  expect(defineJob({ ...good, retry: { maxAttempts: 1 } }).retry).toEqual({
    maxAttempts: 1,
    minBackoffMs: 1_000,
    maxBackoffMs: 600_000,
  });
});

test('every problem is told in one error', () => {
  const bad = {
    name: 'Set Up',
    version: 0.5,
    topic: '',
    payload: z.unknown(),
    retry: { maxAttempts: 0, minBackoffMs: -1, maxBackoffMs: -2 },
    timeoutMs: 0,
  };
  const message = messageOf(bad);
  for (const field of ['name', 'version', 'topic', 'retry.maxAttempts', 'retry.minBackoffMs', 'timeoutMs']) {
    expect(message).toContain(`${field}:`);
  }
  expect(message).toContain('retry.maxBackoffMs:');
  expect(message).toContain('job "Set Up"');
});

describe('refuses', () => {
  test.each([
    ['an empty name', { name: '' }],
    ['a name with a slash', { name: 'a/b' }],
    ['a name that ends with a dot', { name: 'a.' }],
    ['a name with a line break', { name: 'a\n' }],
    ['version 0', { version: 0 }],
    ['a version that is no number', { version: Number.NaN }],
    ['an endless number of attempts', { retry: { maxAttempts: Number.POSITIVE_INFINITY } }],
    ['a backoff that is no number', { retry: { minBackoffMs: Number.NaN } }],
    ['a backoff without end', { retry: { maxBackoffMs: Number.POSITIVE_INFINITY } }],
    ['a backoff longer than Pub/Sub can postpone', { retry: { maxBackoffMs: 600_001 } }],
    ['a time-out that is no number', { timeoutMs: Number.NaN }],
    // Node fires such a timer after 1 ms: every attempt would time out at once.
    ['a time-out that no timer can hold', { timeoutMs: Number.POSITIVE_INFINITY }],
    ['a time-out of 25 days', { timeoutMs: 2 ** 31 }],
  ])('%s', (_what, change) => {
    expect(() => defineJob({ ...good, ...change })).toThrow(JobDefinitionError);
  });
});

function messageOf(definition: Parameters<typeof defineJob>[0]): string {
  try {
    defineJob(definition);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('the definition was accepted');
}
