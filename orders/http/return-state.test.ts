import { expect, test } from 'vitest';
import { createReturnState } from './return-state.ts';

const state = createReturnState('a secret that only this shop has');

test('what was signed for an order names its saga', () => {
  expect(state.verify('O-1', state.sign('O-1', 'saga-1'))).toBe('saga-1');
});

test('the state of one order is worth nothing for another, and neither is one that a stranger signed or cut', () => {
  const signed = state.sign('O-1', 'saga-1');
  expect(state.verify('O-2', signed)).toBeUndefined();
  expect(state.verify('O-1', createReturnState('another secret').sign('O-1', 'saga-1'))).toBeUndefined();
  expect(state.verify('O-1', signed.slice(0, -2))).toBeUndefined();
  expect(
    state.verify('O-1', signed.replace(/^[^.]+/, Buffer.from('saga-2').toString('base64url'))),
  ).toBeUndefined();
  expect(state.verify('O-1', '')).toBeUndefined();
});
