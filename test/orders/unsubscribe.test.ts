import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CATALOGUE } from '../../orders/campaign/channels.ts';
import { createUnsubscribeLinks, type UnsubscribeLinks } from '../../orders/campaign/unsubscribe.ts';
import { registerCampaign } from '../../publisher/campaign/index.ts';
import { type Database, openDatabase } from '../../shared/storage/database.ts';
import { type Shop, startShop } from '../support/shop.ts';

const SECRET = 'a secret of the shop that is long enough';
const ADA = { campaign: 'autumn-offers', channel: 'email', address: 'Ada@Example.com' };

describe('unsubscribing over HTTP', () => {
  let shop: Shop;
  let database: Database;
  let links: UnsubscribeLinks;
  beforeAll(async () => {
    shop = await startShop({ settings: { THROUGHLINE_SIGNING_SECRET: SECRET } });
    database = openDatabase({ connectionString: shop.databaseUrl, maxConnections: 1 });
    const { ready } = await shop.startService();
    links = createUnsubscribeLinks({ secret: SECRET, publicUrl: ready.url });
    await registerCampaign(database, {
      ...CATALOGUE,
      actor: 'ada',
      definition: {
        ...{ id: ADA.campaign, channel: 'email', category: 'offers', segments: ['customers'], perSecond: 1 },
        template: { subject: 'Offers', body: 'Stop: {{unsubscribeUrl}}' },
      },
    });
  }, 60_000);
  afterAll(async () => {
    await database.close();
    await shop.close();
  });

  const suppressed = async () =>
    (await database.query('SELECT channel, address_key, category, actor FROM throughline.suppression')).rows;
  const post = (url: string) =>
    fetch(url, { method: 'POST', body: new URLSearchParams({ 'List-Unsubscribe': 'One-Click' }) });

  it('only asks when the link is opened', async () => {
    const asked = await fetch(links.urlOf(ADA));
    expect([asked.status, asked.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(asked.headers.get('referrer-policy')).toBe('no-referrer');
    const page = await asked.text();
    expect(page).toContain('<form method="post"><button>Unsubscribe</button></form>');
    expect(page).toContain('“offers”');
    expect(await suppressed()).toEqual([]);
  });

  it('refuses tokens that are not ours, and requests without one', async () => {
    const stranger = createUnsubscribeLinks({
      secret: 'another',
      publicUrl: new URL(links.urlOf(ADA)).origin,
    });
    for (const ask of [fetch, post]) {
      const foreign = await ask(stranger.urlOf(ADA));
      expect(foreign.status).toBe(403);
      expect(await foreign.json()).toMatchObject({ type: 'urn:throughline:problem:token-not-ours' });
      expect((await ask(new URL('/unsubscribe', links.urlOf(ADA)).href)).status).toBe(422);
    }
    expect(await suppressed()).toEqual([]);
  });

  it('unsubscribes with one click from what the campaign was about, once, and audits it', async () => {
    for (const _ of [1, 2]) {
      const taken = await post(links.urlOf(ADA));
      expect([taken.status, await taken.text()]).toEqual([200, expect.stringContaining('Unsubscribed')]);
    }
    expect(await suppressed()).toEqual([
      { channel: 'email', address_key: 'ada@example.com', category: 'offers', actor: 'recipient' },
    ]);
    const { rows } = await database.query(
      "SELECT actor, via, details, reason FROM throughline.operator_action WHERE action = 'suppression.add'",
    );
    const reason = 'unsubscribed, from campaign autumn-offers';
    expect(rows).toEqual([{ actor: 'recipient', via: 'http', details: { category: 'offers' }, reason }]);
  });

  it('takes a click in a mail of a campaign that nobody knows any more for all categories', async () => {
    await post(links.urlOf({ ...ADA, campaign: 'long-ago', address: 'bob@example.com' }));
    expect(await suppressed()).toContainEqual({
      ...{ channel: 'email', address_key: 'bob@example.com', category: '*', actor: 'recipient' },
    });
  });

  it('shows the token in no span', async () => {
    await fetch(links.urlOf(ADA));
    const isIts = ({ attributes }: (typeof shop.received)[number]) =>
      attributes['url.path'] === '/unsubscribe';
    await expect.poll(() => shop.received.filter(isIts).length, { timeout: 10_000 }).toBeGreaterThan(0);
    const token = new URL(links.urlOf(ADA)).searchParams.get('token') ?? '';
    expect(JSON.stringify(shop.received)).not.toContain(token);
  });
});
