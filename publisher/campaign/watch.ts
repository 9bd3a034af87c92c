import { setTimeout as delay } from 'node:timers/promises';
import { totalOf } from '../../shared/campaign/recipient.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { type CampaignView, viewCampaign } from './view.ts';

export interface WatchOptions {
  readonly campaignId: string;
  /** How often is looked, in ms. Default 1_000. */
  readonly everyMs?: number;
  readonly signal?: AbortSignal;
}

/** The rate that is told is that of so many ms. */
const RATE_OF_MS = 10_000;

interface Sample {
  readonly atMs: number;
  readonly settled: number;
}

/**
 * Follows a campaign until it has ended.
 *
 * Shape:  how it is now, and again each time something has changed; rate and estimate are those of the last 10 s.
 * Errors: UnknownCampaignError, DatabaseUnavailableError; none when `signal` is aborted, which ends it.
 */
export async function* watchCampaign(
  client: SqlClient,
  { campaignId, everyMs = 1_000, signal }: WatchOptions,
): AsyncGenerator<CampaignView> {
  let told: string | undefined;
  let samples: readonly Sample[] = [];
  while (!signal?.aborted) {
    const view = await viewCampaign(client, campaignId);
    const now = { atMs: performance.now(), settled: totalOf(view.recipients) - view.recipients.pending };
    samples = [...samples.filter(({ atMs }) => now.atMs - atMs <= RATE_OF_MS), now];
    const shown = withRate(view, samples);
    const { state: own, reason, frozen, recipients, underWay, endedAt } = shown;
    const rate = Math.round(shown.perSecond ?? 0);
    const state = JSON.stringify([own, reason, frozen, recipients, underWay, endedAt, rate]);
    if (state !== told) yield shown;
    told = state;
    if (view.endedAt !== undefined) return;
    await delay(everyMs, undefined, { signal }).catch(() => {});
  }
}

function withRate(view: CampaignView, samples: readonly Sample[]): CampaignView {
  const [first, last] = [samples[0], samples.at(-1)];
  const seconds = first && last ? (last.atMs - first.atMs) / 1_000 : 0;
  if (view.startedAt === undefined || !first || !last || seconds < 1) return view;
  const perSecond = (last.settled - first.settled) / seconds;
  return {
    ...view,
    perSecond,
    secondsLeft: perSecond > 0 ? view.recipients.pending / perSecond : undefined,
  };
}
