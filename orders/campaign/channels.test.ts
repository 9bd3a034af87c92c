import { expect, test } from 'vitest';
import { createChannels } from './channels.ts';
import { createUnsubscribeLinks } from './unsubscribe.ts';

const links = createUnsubscribeLinks({
  secret: 'a secret that only this shop has',
  publicUrl: 'https://shop.example',
});
const notification = {
  ...{ campaign: 'autumn-terms', address: 'ada@example.com', idempotencyKey: 'campaign/autumn-terms/1' },
  ...{ subject: 'New terms', body: 'No more of these: {{unsubscribeUrl}}' },
};

function channelsThat(links_: typeof links | undefined) {
  const asked: object[] = [];
  const deliver = async (request: object) => {
    asked.push(request);
    return { messageId: 'm-1' };
  };
  const find = async () => undefined;
  const mail = { send: async () => ({ messageId: 'm-0' }), deliver, find };
  const [email, push] = createChannels({ mail, push: { deliver, find } }, links_);
  if (!email || !push) throw new Error('expected two channels');
  return { email, push, asked };
}

test('a mail has a link for its recipient alone, in its text and for the header', async () => {
  const { email, asked } = channelsThat(links);
  expect(await email.send(notification)).toEqual({ kind: 'sent', reference: 'm-1' });
  const unsubscribeUrl = links.urlOf({ ...notification, channel: 'email' });
  expect(asked).toEqual([
    {
      email: 'ada@example.com',
      subject: 'New terms',
      text: `No more of these: ${unsubscribeUrl}`,
      unsubscribeUrl,
    },
  ]);
});

test('a push notification has it in its text only', async () => {
  const { push, asked } = channelsThat(links);
  await push.send(notification);
  const url = links.urlOf({ ...notification, channel: 'push' });
  expect(asked).toEqual([{ token: 'ada@example.com', title: 'New terms', text: `No more of these: ${url}` }]);
});

test('what names a link is not sent where none can be made; the rest is', async () => {
  const { email, asked } = channelsThat(undefined);
  const refused = await email.send(notification);
  expect(refused).toEqual({ kind: 'unsent', reason: expect.stringContaining('PUBLIC_URL') });
  expect(asked).toEqual([]);
  await email.send({ ...notification, body: 'Hello.' });
  expect(asked).toEqual([{ email: 'ada@example.com', subject: 'New terms', text: 'Hello.' }]);
});
