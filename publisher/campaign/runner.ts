import { CAMPAIGN_CHANNEL, type DeliverJob } from '../../shared/campaign/deliver-job.ts';
import type { Logger } from '../../shared/log.ts';
import { checkNumbers } from '../../shared/options.ts';
import type { Database } from '../../shared/storage/database.ts';
import { startPolling } from '../../shared/storage/polling.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { count } from '../../shared/trace/meters.ts';
import { createOutbox } from '../outbox.ts';
import { type CampaignRow, openCampaigns } from './campaign-rows.ts';
import { changeByItself } from './change-state.ts';
import { type DispatchOptions, dispatchBatch } from './dispatch.ts';
import { settleCancelled } from './end.ts';
import { type FreezeOptions, freezePage } from './freeze.ts';
import { createLostFinder, DEFAULT_LOST_AFTER_MS } from './lost.ts';
import type { CampaignCatalogue } from './register.ts';

export interface CampaignRunnerOptions extends CampaignCatalogue {
  readonly database: Database;
  /** The same as the worker's. */
  readonly job: DeliverJob;
  /** The service, written as `ce-source`. */
  readonly source: string;
  /** How often is looked for campaigns, besides being notified, in ms. Default 1_000. */
  readonly pollMs?: number;
  /** Users that are frozen in one transaction. Default 5_000. */
  readonly pageSize?: number;
  /** Recipients whose jobs are enqueued in one transaction, at most. Default 500. */
  readonly batchSize?: number;
  /** After this is looked whether jobs that are queued were cancelled by a fence, in ms. Default 10_000. */
  readonly lostAfterMs?: number;
  readonly logger?: Logger | undefined;
}

export interface CampaignRunner {
  /** May be called twice. */
  start(): Promise<void>;
  /** Finishes the page or batch under way. May be called twice. */
  stop(): Promise<void>;
}

/**
 * Brings campaigns forward: freezes audiences, hands recipients to the queue, ends what is over. Any number of them may run, in
 * any processes: each page and each batch is one process's.
 *
 * Errors: OptionsError.
 */
export function createCampaignRunner(options: CampaignRunnerOptions): CampaignRunner {
  checkNumbers('createCampaignRunner', options, {
    pollMs: { min: 10 },
    pageSize: { min: 1, max: 50_000, whole: true },
    batchSize: { min: 1, max: 5_000, whole: true },
    lostAfterMs: { min: 10 },
  });
  const { database, source, pollMs = 1_000, logger } = options;
  const parts: Omit<Parts, 'timeZones'> = {
    ...options,
    outbox: createOutbox({ database, source }),
    findLost: createLostFinder(database, options.lostAfterMs ?? DEFAULT_LOST_AFTER_MS),
    pageSize: options.pageSize ?? 5_000,
    batchSize: options.batchSize ?? 500,
  };
  let timeZones: ReadonlySet<string> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let polling: ReturnType<typeof startPolling> | undefined;
  let isStopped = false;

  const poll = async () => {
    clearTimeout(timer);
    timeZones ??= await readTimeZones(database);
    let againMs = 0;
    while (againMs === 0 && !isStopped) againMs = await round({ ...parts, timeZones });
    if (isStopped) return;
    const wake = async () => (await polling)?.wake();
    timer = setTimeout(() => void wake(), againMs);
    timer.unref();
  };

  return {
    async start() {
      count('throughline.campaign.enqueued', {}, 0);
      polling ??= startPolling({
        ...{ database, channel: CAMPAIGN_CHANNEL, pollMs, logger, poll },
        what: 'bringing campaigns forward',
      });
      await polling;
    },
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await (await polling)?.stop();
    },
  };
}

interface Parts extends FreezeOptions, DispatchOptions {
  readonly findLost: ReturnType<typeof createLostFinder>;
  readonly lostAfterMs?: number;
  readonly logger?: Logger | undefined;
}

const IDLE_MS = 60_000;

/** One page or batch of each campaign. Shape: in how many ms the next may be due. One that fails does not hold up the others. */
async function round(parts: Parts): Promise<number> {
  const campaigns = await openCampaigns(parts.database);
  let againMs = IDLE_MS;
  for (const campaign of campaigns) {
    try {
      againMs = Math.min(againMs, await advance(campaign, parts));
    } catch (error) {
      parts.logger?.warn(
        { err: error, campaign: campaign.id },
        'a campaign could not be brought forward; it is tried again',
      );
      againMs = Math.min(againMs, RETRY_MS);
    }
  }
  return againMs;
}

const RETRY_MS = 1_000;
/** Whoever is told of nothing looks again: another process may have had it in hand. */
const LOOK_MS = 200;

async function advance(
  campaign: Pick<CampaignRow, 'number' | 'id' | 'state'>,
  parts: Parts,
): Promise<number> {
  switch (campaign.state) {
    case 'freezing':
      return (await freezePage(campaign, parts)) ? 0 : LOOK_MS;
    case 'frozen':
      return startWhenDue(campaign, parts.database);
    case 'cancelled':
      return (await settleCancelled(campaign, parts.database)) ? 0 : LOOK_MS;
    case 'running': {
      const { enqueued, againMs, stalled } = await dispatchBatch(campaign, parts);
      count('throughline.campaign.enqueued', {}, enqueued);
      if (!stalled) return againMs;
      await parts.findLost(campaign, stalled);
      return Math.min(againMs, parts.lostAfterMs ?? DEFAULT_LOST_AFTER_MS);
    }
    default:
      return IDLE_MS;
  }
}

/** Shape: in how many ms it may be due. */
export async function startWhenDue(
  campaign: Pick<CampaignRow, 'number' | 'id' | 'state'>,
  database: Database,
): Promise<number> {
  const { rows } = await database.query<{ due_ms: number | null }>(
    'SELECT extract(epoch FROM starts_at - now())::float8 * 1000 AS due_ms FROM throughline.campaign WHERE number = $1',
    [campaign.number],
  );
  const dueMs = rows[0]?.due_ms ?? null;
  if (dueMs === null) return IDLE_MS;
  if (dueMs > 0) return Math.max(dueMs, 1);
  await database.transaction((tx) => changeByItself(tx, campaign, { action: 'started', to: 'running' }));
  return 0;
}

async function readTimeZones(client: SqlClient): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ name: string }>('SELECT name FROM pg_timezone_names');
  return new Set(rows.map(({ name }) => name));
}
