import { expect, test } from 'vitest';
import { createTopicPauses } from './relay-pauses.ts';

function create() {
  let nowMs = 0;
  const pauses = createTopicPauses({ firstMs: 10, longestMs: 40 }, () => nowMs);
  const pass = (ms: number) => {
    nowMs += ms;
    return pauses.paused();
  };
  return { pauses, pass };
}

test('a topic that hung is left alone for a while, and others are not', () => {
  const { pauses, pass } = create();
  pauses.hung('mails');
  expect(pass(9)).toEqual(['mails']);
  expect(pass(1)).toEqual([]);
});

test('each further time in a row it is left alone twice as long, up to a limit', () => {
  const { pauses, pass } = create();
  for (const forMs of [10, 20, 40, 40]) {
    pauses.hung('mails');
    expect(pass(forMs - 1)).toEqual(['mails']);
    expect(pass(1)).toEqual([]);
  }
});

test('one that answered is forgiven', () => {
  const { pauses, pass } = create();
  pauses.hung('mails');
  pauses.hung('mails');
  pauses.answered('mails');
  expect(pass(0)).toEqual([]);
  pauses.hung('mails');
  expect(pass(10)).toEqual([]);
});
