import { expect, test } from 'vitest';
import { isConnectionLost } from './errors.ts';

const withCode = (code: string) => Object.assign(new Error('said by the server'), { code });

test.each(['57P01', '57P02', '57P03', '08006', '53300', '25P03', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'])(
  '%s means that the connection failed, not the statement',
  (code) => expect(isConnectionLost(withCode(code))).toBe(true),
);

test.each(['57014', '55P03', '40001', '40P01', '23505', '42601', 'ERR_OUT_OF_RANGE'])(
  '%s is the statement’s own fault or its time-out',
  (code) => expect(isConnectionLost(withCode(code))).toBe(false),
);

test.each([
  'Connection terminated unexpectedly',
  'timeout exceeded when trying to connect',
  'Client has encountered a connection error and is not queryable',
  'Query read timeout',
])('what pg says without a code is known: %s', (message) => {
  expect(isConnectionLost(new Error(message))).toBe(true);
});

test('anything else is not', () => {
  expect(isConnectionLost(new Error('the connection of two ideas'))).toBe(false);
  expect(isConnectionLost({ code: '57P01' })).toBe(false);
  expect(isConnectionLost(undefined)).toBe(false);
});
