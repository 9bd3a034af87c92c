import { setTimeout as delay } from 'node:timers/promises';
import { readTally } from '../../shared/campaign/recipient.ts';
import type { Database } from '../../shared/storage/database.ts';
import { readCampaign } from './campaign-rows.ts';
import type { CampaignState } from './state.ts';

interface SilenceOptions {
  readonly campaignId: string;
  /** In ms. Default 30_000. */
  readonly silenceWithinMs?: number;
  /** Once it has another state nobody waits any more. */
  readonly state: CampaignState;
}

/** Waits until nobody is inside a partner's call. Shape: how many may still be, because the time was up. */
export async function silence(
  database: Database,
  { campaignId, silenceWithinMs = 30_000, state }: SilenceOptions,
): Promise<number> {
  const untilMs = performance.now() + silenceWithinMs;
  for (;;) {
    const campaign = await readCampaign(database, campaignId);
    const { sending } = await readTally(database, campaign.number);
    if (sending === 0 || campaign.state !== state || performance.now() > untilMs) return sending;
    await delay(LOOK_EVERY_MS);
  }
}

const LOOK_EVERY_MS = 20;
