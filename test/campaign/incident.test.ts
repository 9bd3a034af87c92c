import { expect, onTestFinished, test } from 'vitest';
import { CATALOGUE } from '../../orders/campaign/channels.ts';
import { NOTIFICATIONS_TOPIC } from '../../orders/contract.ts';
import {
  approveCampaign,
  CampaignStateError,
  type CampaignView,
  cancelCampaign,
  registerCampaign,
  startCampaign,
  viewCampaign,
  watchCampaign,
} from '../../publisher/campaign/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { deliverTwice } from '../support/redelivery.ts';
import { startShop } from '../support/shop.ts';
import { startShortProxy } from '../support/short-proxy.ts';

/**
 * The incident of which this library is the answer, replayed: a mail to 20,000, a proxy with less patience than the partner, a caller
 * that retries, a worker that is killed and comes back, a queue that delivers twice, and a cancel in the middle.
 */
const RECIPIENTS = 20_000;
const CAMPAIGN = 'terms-of-service';
const ADA = { actor: 'ada' };
/** Below this a busy machine would make every call an incident. */
const PROXY_MS = 2_000;
const TIMEOUT_MS = 300_000;

test('nobody is written to twice, nobody after the cancel, and the ledger adds up', {
  timeout: TIMEOUT_MS,
}, async () => {
  const shop = await startShop({
    // What it is about is not traces, and this process has a partner and a proxy to play.
    settings: { THROUGHLINE_SPANS: 'buffered', OTEL_EXPORTER_OTLP_ENDPOINT: '' },
  });
  onTestFinished(() => shop.close());
  const database = openDatabase({ connectionString: shop.databaseUrl });
  onTestFinished(() => database.close());
  const queue = await deliverTwice(shop.connection, NOTIFICATIONS_TOPIC);
  const proxy = await startShortProxy(shop.sandbox.url, PROXY_MS);
  const slow = { kind: 'latency', latencyMs: PROXY_MS * 2, rate: 0.005 } as const;
  shop.sandbox.faults.add({ partner: 'mail', effect: 'deliver', ...slow });
  shop.sandbox.faults.add({ partner: 'mail', effect: 'deliver', kind: 'lost-answer', rate: 0.005 });
  const throughProxy = { PARTNERS_URL: proxy.url };
  await shop.startService(throughProxy); // it relays
  const [doomed] = await Promise.all([shop.startWorker(throughProxy), shop.startWorker(throughProxy)]);

  await database.query(
    `INSERT INTO shop.customer (email, first_name) SELECT 'c' || n || '@example.com', 'Customer ' || n FROM generate_series(1, $1) n`,
    [RECIPIENTS],
  );
  await registerCampaign(database, {
    ...{ ...CATALOGUE, ...ADA },
    definition: {
      ...{ id: CAMPAIGN, channel: 'email', category: 'terms', segments: ['customers'] },
      ...{ perSecond: 1_000, maxFailureShare: 1 },
      template: { subject: 'Our terms have changed', body: 'Dear {{firstName}}, they have.' },
    },
  });
  const until = async (isWanted: (view: CampaignView) => boolean): Promise<CampaignView> => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    for await (const view of watchCampaign(database, { campaignId: CAMPAIGN, everyMs: 100, signal }))
      if (isWanted(view)) return view;
    throw new Error(JSON.stringify(await viewCampaign(database, CAMPAIGN)));
  };

  // The caller hears nothing and asks again, five times at once: one of each is done, and four are told so.
  const again = async (act: () => Promise<unknown>) => {
    const asked = await Promise.allSettled(Array.from({ length: 5 }, act));
    const refused = asked.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
    expect(refused.map((error) => error instanceof CampaignStateError)).toEqual([true, true, true, true]);
  };
  await again(() => approveCampaign(database, { ...ADA, campaignId: CAMPAIGN, expectedCount: RECIPIENTS }));
  await until(({ isFrozen }) => isFrozen);
  await again(() => startCampaign(database, { ...ADA, campaignId: CAMPAIGN }));

  await until(({ recipients }) => recipients.sent > RECIPIENTS / 10);
  await doomed.kill();
  await shop.startWorker(throughProxy);
  await until(({ recipients }) => recipients.sent > RECIPIENTS / 2);
  const { stillInside } = await cancelCampaign(database, {
    ...{ ...ADA, campaignId: CAMPAIGN, reason: 'sent to the wrong segment', silenceWithinMs: 60_000 },
  });
  const calledAtReturn = shop.sandbox.calls(CAMPAIGN).length;
  expect(stillInside).toBe(0);
  const end = await until(({ endedAt }) => endedAt !== undefined);

  const calls = shop.sandbox.calls(CAMPAIGN);
  const effects = shop.sandbox.effects(CAMPAIGN);
  expect(calls.length, 'calls after cancel had returned').toBe(calledAtReturn);
  expect(new Set(effects.map(({ subject }) => subject)).size, 'recipients').toBe(effects.length);
  expect(end).toMatchObject({ state: 'cancelled', frozen: RECIPIENTS, addsUp: true });
  expect(end.recipients).toMatchObject({ pending: 0, uncertain: 0 });
  expect(end.recipients.sent).toBe(effects.length);
  expect(end.recipients.sent + end.recipients.cancelled + end.recipients.failed).toBe(RECIPIENTS);
  expect(end.recipients.cancelled).toBeGreaterThan(0);
  // It was the incident, and not a quiet day.
  expect(proxy.timeouts()).toBeGreaterThan(0);
  expect(queue.repeated()).toBeGreaterThan(RECIPIENTS / 2);
});
