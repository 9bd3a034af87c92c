import { expect, test } from 'vitest';
import { createWindow } from './window.ts';

/** Runs every pending continuation. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

function watch(promise: Promise<void>): { isSettled: boolean } {
  const state = { isSettled: false };
  void promise.then(() => {
    state.isSettled = true;
  });
  return state;
}

test('lets so many in and makes the next wait until one leaves', async () => {
  const window = createWindow(2);
  await window.enter();
  await window.enter();
  const third = watch(window.enter());
  await turn();
  expect(third.isSettled).toBe(false);
  window.leave();
  await turn();
  expect(third.isSettled).toBe(true);
});

test('is empty at once when nobody is inside, and else when the last has left', async () => {
  const window = createWindow(2);
  await window.empty();
  await window.enter();
  await window.enter();
  const empty = watch(window.empty());
  window.leave();
  await turn();
  expect(empty.isSettled).toBe(false);
  window.leave();
  await turn();
  expect(empty.isSettled).toBe(true);
});
