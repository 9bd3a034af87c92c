import { CATALOGUE } from '../../../orders/campaign/channels.ts';
import {
  approveCampaign,
  type CampaignView,
  registerCampaign,
  startCampaign,
  watchCampaign,
} from '../../../publisher/campaign/index.ts';
import type { Database } from '../../../shared/storage/index.ts';

/** As fast as the machine goes. */
const PER_SECOND = 100_000;
const OPERATOR = { actor: 'bench' };

export async function addCustomers(database: Database, count: number): Promise<void> {
  await database.query(
    `INSERT INTO shop.customer (email, first_name, time_zone)
     SELECT 'customer-' || n || '@example.com', 'Customer ' || n, 'Europe/Berlin' FROM generate_series(1, $1) n`,
    [count],
  );
  await database.query('ANALYZE shop.customer');
}

/** Registers and approves; resolves when the audience is frozen. Shape: seconds that took. */
export async function freeze(database: Database, campaignId: string, count: number): Promise<number> {
  await registerCampaign(database, {
    ...{ ...CATALOGUE, ...OPERATOR },
    definition: {
      ...{
        id: campaignId,
        channel: 'email',
        category: 'terms',
        segments: ['customers'],
        perSecond: PER_SECOND,
      },
      template: {
        subject: 'New terms of service',
        body: `Dear {{firstName}},\n\nour terms of service change on the first of the month. ${'They are longer now. '.repeat(20)}`,
      },
    },
  });
  const startedMs = performance.now();
  await approveCampaign(database, { ...OPERATOR, campaignId, expectedCount: count });
  await until(database, campaignId, ({ isFrozen }) => isFrozen);
  return (performance.now() - startedMs) / 1_000;
}

export function start(database: Database, campaignId: string): Promise<CampaignView> {
  return startCampaign(database, { ...OPERATOR, campaignId });
}

/** Errors: when it halts or ends before it is as wanted. */
export async function until(
  database: Database,
  campaignId: string,
  isWanted: (view: CampaignView) => boolean,
  onProgress?: (view: CampaignView) => void,
): Promise<CampaignView> {
  for await (const view of watchCampaign(database, { campaignId, everyMs: onProgress ? 1_000 : 100 })) {
    if (isWanted(view)) return view;
    onProgress?.(view);
    if (view.state === 'halted') throw new Error(`it halted: ${view.reason}`);
  }
  throw new Error('it ended before it was as wanted');
}
