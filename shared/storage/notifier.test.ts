import { expect, test } from 'vitest';
import { createNotifier } from './notifier.ts';

/** Notifications that a test lets go, one after the other. */
function createChannel() {
  const sent: { readonly channel: string; done(): void; fail(): void }[] = [];
  const errors: unknown[] = [];
  const notifier = createNotifier(
    (channel) =>
      new Promise<void>((resolve, reject) => {
        sent.push({ channel, done: resolve, fail: () => reject(new Error('away')) });
      }),
    (error) => errors.push(error),
  );
  return { notifier, sent, errors };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('the first call notifies at once, and those during it share the next', async () => {
  const { notifier, sent } = createChannel();
  for (let call = 0; call < 5; call++) notifier.notify('jobs');
  expect(sent).toHaveLength(1);
  for (let call = 0; call < 5; call++) notifier.notify('jobs');
  sent[0]?.done();
  await turn();
  expect(sent).toHaveLength(2);
  sent[1]?.done();
  await notifier.settled();
  expect(sent).toHaveLength(2);
});

test('channels do not wait for each other', () => {
  const { notifier, sent } = createChannel();
  notifier.notify('jobs');
  notifier.notify('sagas');
  expect(sent.map(({ channel }) => channel)).toEqual(['jobs', 'sagas']);
});

test('a notification that fails is told, and the next one is sent', async () => {
  const { notifier, sent, errors } = createChannel();
  notifier.notify('jobs');
  sent[0]?.fail();
  await notifier.settled();
  expect(errors).toHaveLength(1);
  notifier.notify('jobs');
  expect(sent).toHaveLength(2);
});
