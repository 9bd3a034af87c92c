import { expect } from 'vitest';
import { CATALOGUE } from '../../orders/campaign/channels.ts';
import { JOBS_TOPIC } from '../../orders/contract.ts';
import {
  approveCampaign,
  type CampaignView,
  registerCampaign,
  startCampaign,
  suppress,
  viewCampaign,
  watchCampaign,
} from '../../publisher/campaign/index.ts';
import { decideAtBank } from '../../scripts/system/browser.ts';
import type { Database } from '../../shared/storage/database.ts';
import { addFence } from '../../subscriber/index.ts';
import { newOrder, type OrderApi } from '../support/order-api.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import type { Shop } from '../support/shop.ts';

const ADA = { actor: 'ada', reason: 'to see it on a dashboard' };
const LARGE = { items: [{ sku: 'workspace-plus', quantity: 10 }] };

/** A shop with all that may happen to its orders, so that there is something to see of everything. */
export interface BusyDay {
  readonly shop: Shop;
  readonly api: OrderApi;
  readonly database: Database;
}

/** Orders that go well, fail at each partner that can refuse, are put off by one, wait for the bank, and what strangers send. */
export async function orders({ shop, api }: BusyDay): Promise<void> {
  const { faults } = shop.sandbox;
  const fail = async (state: string, ...own: Parameters<typeof faults.add>[0][]) => {
    const { orderKey, ...order } = newOrder();
    for (const fault of own) faults.add({ orderKey, ...fault });
    await api.place({ orderKey, ...order });
    expect(await api.ended(orderKey)).toMatchObject({ state });
  };
  const atBank = async (decision: 'approve' | 'decline', state: string) => {
    const { orderKey } = (await api.place(newOrder(LARGE))).body as { orderKey: string };
    const { action } = await api.until(orderKey, (order) => order.action !== undefined);
    await decideAtBank(action?.url ?? '', decision);
    expect(await api.ended(orderKey)).toMatchObject({ state });
  };
  const once = { times: 1 } as const;
  await Promise.all([
    fail('confirmed'),
    fail('confirmed', { partner: 'card', effect: 'redeem', kind: 'rate-limit', ...once }),
    fail('confirmed', { partner: 'registrar', effect: 'acquire', kind: 'reset', ...once }),
    // As often as a call asks: the step is tried again.
    fail('confirmed', { partner: 'account', kind: 'error', times: 3 }),
    fail('compensated', { partner: 'card', effect: 'redeem', kind: 'refuse', ...once }),
    fail('compensated', { partner: 'registrar', effect: 'acquire', kind: 'refuse', ...once }),
    fail('compensated', { partner: 'workspace', effect: 'set-up', kind: 'refuse' }),
    atBank('approve', 'confirmed'),
    atBank('decline', 'compensated'),
    fetch(`${api.url}/nobody/knows`),
    shop.publish(JOBS_TOPIC, {
      data: Buffer.from('{}'),
      attributes: { 'ce-id': `stranger-${Math.random()}`, 'ce-type': 'nonsense.v9', traceparent: 'nonsense' },
    }),
  ]);
}

/** A campaign: one recipient is suppressed, one is refused for good, one's answer is lost. */
export async function campaign({ shop, database }: BusyDay): Promise<void> {
  const { rows } = await database.query<{ email: string }>(
    `INSERT INTO shop.customer (email, first_name) SELECT 'c' || n || '@example.com', 'C' || n FROM generate_series(1, 40) n RETURNING email`,
  );
  const campaignId = 'autumn-terms';
  const [channel] = CATALOGUE.channels;
  if (channel) await suppress(database, { ...ADA, channel, address: rows[0]?.email ?? '' });
  const mail = { partner: 'mail', effect: 'deliver', orderKey: campaignId } as const;
  shop.sandbox.faults.add({ ...mail, kind: 'refuse', times: 3 });
  shop.sandbox.faults.add({ ...mail, kind: 'lost-answer', times: 1 });
  await registerCampaign(database, {
    ...{ ...CATALOGUE, ...ADA },
    definition: {
      ...{ id: campaignId, channel: 'email', category: 'terms', segments: ['customers'] },
      ...{ perSecond: 20, maxFailureShare: 1 },
      template: { subject: 'Our terms have changed', body: 'Dear {{firstName}}, they have.' },
    },
  });
  await approveCampaign(database, { ...ADA, campaignId, expectedCount: rows.length, tolerance: 1 });
  const until = async (isWanted: (view: CampaignView) => boolean) => {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    for await (const view of watchCampaign(database, { campaignId, everyMs: 100, signal }))
      if (isWanted(view)) return;
    throw new Error(JSON.stringify(await viewCampaign(database, campaignId)));
  };
  await until(({ isFrozen }) => isFrozen);
  await startCampaign(database, { ...ADA, campaignId });
  await until(({ recipients }) => recipients.sent > 20 && recipients.failed > 0);
}

/** A fence that nobody runs into. */
export async function fence({ database }: BusyDay): Promise<void> {
  await addFence(database, { ...ADA, action: 'pause', target: { orderKey: 'O-nobody' } });
}

/** A saga whose journal nobody can read any more. */
export async function unreadableSaga({ api, database }: BusyDay): Promise<void> {
  const { orderKey } = (await api.place(newOrder(LARGE))).body as { orderKey: string };
  await api.until(orderKey, ({ action }) => action !== undefined);
  await database.query(
    `INSERT INTO throughline.saga_journal (saga_id, seq, writer, events)
      SELECT s.id, max(j.seq) + 1, gen_random_uuid(), '[{"kind":"completed","step":"verify-account"}]'
      FROM throughline.saga s JOIN throughline.saga_journal j ON j.saga_id = s.id WHERE s.order_key = $1 GROUP BY s.id`,
    [orderKey],
  );
  await database.query('UPDATE throughline.saga SET wake_at = now(), owner = NULL WHERE order_key = $1', [
    orderKey,
  ]);
}

/** An answer 500: a table is not there. */
export async function serverError({ api, database }: BusyDay): Promise<void> {
  await database.query('ALTER TABLE shop.customer_order RENAME TO elsewhere');
  expect((await fetch(`${api.url}/orders/O-1`)).status).toBe(500);
  await database.query('ALTER TABLE shop.elsewhere RENAME TO customer_order');
}
