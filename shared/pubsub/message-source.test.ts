import { expect, test } from 'vitest';
import { stubConnection } from '../../test/fakes/stub-connection.ts';
import { createClientSource } from './client-source.ts';
import { createStreamingPullSource } from './streaming-pull-source.ts';

test.each([
  ['streaming pull', createStreamingPullSource],
  ["Google's client", createClientSource],
])('a source on %s that is closed while it starts does not begin to pull', async (_what, createSource) => {
  const check = Promise.withResolvers<unknown>();
  // No other call is stubbed: whatever would open a stream throws.
  const { connection, calls } = stubConnection({ subscriber: { getSubscription: () => check.promise } });
  const source = createSource(connection, { subscription: 'worker' });
  const started = source.start({ onMessage: () => {}, onError: () => expect.unreachable('it pulls') });
  await source.close();
  check.resolve([{}]);
  await started;
  expect(calls.map(([name]) => name)).toEqual(['getSubscription']);
});
