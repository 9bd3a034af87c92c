import { ROOT_CONTEXT } from '@opentelemetry/api';
import { type DeliverJob, deliverJobId } from '../../shared/campaign/deliver-job.ts';
import { type LedgerTally, readTally } from '../../shared/campaign/recipient.ts';
import { CAMPAIGN_ATTRIBUTE } from '../../shared/job/campaign.ts';
import type { Database, Transaction } from '../../shared/storage/database.ts';
import { spanContextOf } from '../../shared/trace/carrier.ts';
import { links, linkTo } from '../../shared/trace/links.ts';
import type { Outbox } from '../outbox.ts';
import { type CampaignRow, limitOf, type ProgressRow, readCampaign, takeProgress } from './campaign-rows.ts';
import { changeByItself } from './change-state.ts';
import { endCampaign } from './end.ts';

/**
 * Hands a running campaign's recipients to the queue, in batches.
 *
 * P1. The rate is the campaign's own, whoever hands over: what is used up is stored with the batch.
 * P2. No more are under way than can be sent soon: workers that were away do not find a queue to empty at once. In any time t at
 *     most perSecond × (t + 3 s) + 11 recipients are begun.
 * P3. A recipient's jobs are numbered; only the last one may send.
 * P4. Each job begins a trace of its own, linked to the campaign: a million children would make a trace that nobody can read.
 */
export interface DispatchOptions {
  readonly database: Database;
  readonly outbox: Outbox;
  readonly job: DeliverJob;
  /** Recipients in a batch, at most. */
  readonly batchSize: number;
}

/** What came of it, and in how many ms there may be something to do again. */
export interface Dispatched {
  readonly enqueued: number;
  readonly againMs: number;
  /** The ledger when nothing could be handed over: all that wait have to, or too many are under way. */
  readonly stalled?: LedgerTally;
}

/** Of what a recipient may be in for, in s of the campaign's rate. */
const WINDOW_S = 2;
const SMALLEST_WINDOW = 10;
const LARGEST_WINDOW = 20_000;
/** Of what is due, in s: a process that was away does not make up for more. But always one recipient. */
const LONGEST_ARREARS_S = 1;
/** So seldom a batch is made at high rates, in s: small batches cost more than large ones. */
const BATCH_EVERY_S = 0.1;
/** Of a division and a multiplication that cancel each other. */
const ROUNDING = 1e-9;
const BUSY_MS = 50;
const IDLE_MS = 1_000;

interface Pace {
  /** Since what was handed over last was due. */
  readonly elapsed_s: number | null;
  readonly held_ms: number;
}

/** One batch. Errors: DatabaseUnavailableError. */
export async function dispatchBatch(
  { number, id }: Pick<CampaignRow, 'number' | 'id'>,
  options: DispatchOptions,
): Promise<Dispatched> {
  return options.database.transaction(async (tx) => {
    const progress = await takeProgress(tx, number);
    if (!progress) return { enqueued: 0, againMs: BUSY_MS };
    const campaign = await readCampaign(tx, id);
    if (campaign.state !== 'running') return { enqueued: 0, againMs: IDLE_MS };
    const tally = await readTally(tx, number);
    const why = reasonToHalt(campaign, progress, tally);
    if (why !== undefined) {
      await changeByItself(tx, campaign, {
        ...{ action: 'halted', to: 'halted', returnsTo: 'running' },
        reason: why,
      });
      return { enqueued: 0, againMs: IDLE_MS };
    }
    if (tally.pending + tally.queued + tally.sending + tally.uncertain === 0) {
      await endCampaign(tx, campaign, { action: 'finished', to: 'finished' }, tally);
      return { enqueued: 0, againMs: IDLE_MS };
    }
    await watch(tx, campaign, progress, tally);
    return handOver(tx, { campaign, tally, ...options });
  });
}

interface HandOver extends DispatchOptions {
  readonly campaign: CampaignRow;
  readonly tally: LedgerTally;
}

/** P1, P2. */
async function handOver(tx: Transaction, { campaign, tally, ...options }: HandOver): Promise<Dispatched> {
  const { perSecond } = campaign.definition;
  const { elapsed_s, held_ms } = await readPace(tx, campaign.number);
  if (held_ms > 0) return { enqueued: 0, againMs: Math.min(held_ms, IDLE_MS) };
  const window = Math.min(Math.max(perSecond * WINDOW_S, SMALLEST_WINDOW), LARGEST_WINDOW);
  const room = Math.floor(window - tally.queued - tally.sending);
  const oneS = 1 / perSecond;
  const arrearsS = Math.min(
    elapsed_s ?? Math.max(LONGEST_ARREARS_S / 2, oneS),
    Math.max(LONGEST_ARREARS_S, oneS),
  );
  const due = Math.floor(arrearsS * perSecond + ROUNDING);
  const wanted = Math.min(options.batchSize, room, due);
  const enough = Math.max(1, Math.min(options.batchSize, perSecond * BATCH_EVERY_S));
  const isFull = room < Math.min(enough, tally.pending || 1);
  if (isFull) return { enqueued: 0, againMs: BUSY_MS / 5, stalled: tally };
  if (wanted < Math.min(enough, tally.pending || 1))
    return { enqueued: 0, againMs: Math.max(BUSY_MS / 5, ((enough - due) / perSecond) * 1_000) };
  const enqueued = await enqueue(tx, campaign, wanted, options);
  if (enqueued === 0) return { enqueued, againMs: IDLE_MS, stalled: tally };
  await tx.query(
    `UPDATE throughline.campaign_progress SET
       paced_at = greatest(paced_at, clock_timestamp() - $2 * interval '1 second') + $3 * interval '1 second'
     WHERE campaign = $1`,
    [campaign.number, arrearsS, enqueued / perSecond],
  );
  return { enqueued, againMs: 0 };
}

async function readPace(tx: Transaction, number: string): Promise<Pace> {
  const { rows } = await tx.query<Pace & Record<string, unknown>>({
    name: 'throughline-campaign-pace',
    text: `
      SELECT extract(epoch FROM clock_timestamp() - paced_at)::float8 AS elapsed_s,
        greatest(0, coalesce(extract(epoch FROM hold_until - clock_timestamp()), 0) * 1000)::float8 AS held_ms
      FROM throughline.campaign_progress WHERE campaign = $1`,
    values: [number],
  });
  return rows[0] ?? { elapsed_s: null, held_ms: 0 };
}

interface Queued {
  readonly recipient_id: string;
  readonly round: number;
  readonly is_first: boolean;
}

/** P3, P4. Those for whom it is quiet are put off instead. Shape: how many rows there were. */
async function enqueue(
  tx: Transaction,
  campaign: CampaignRow,
  limit: number,
  { outbox, job }: DispatchOptions,
): Promise<number> {
  const { quietHours } = campaign.definition;
  const { rows } = await tx.query<Queued & { readonly state: string } & Record<string, unknown>>({
    name: 'throughline-campaign-enqueue',
    text: ENQUEUE,
    values: [
      campaign.number,
      limit,
      quietHours?.timeZone ?? null,
      quietHours?.from ?? null,
      quietHours?.to ?? null,
    ],
  });
  const queued = rows.filter(({ state }) => state === 'queued');
  const first = queued.filter(({ is_first }) => is_first).length;
  await tx.query('UPDATE throughline.campaign_progress SET enqueued = enqueued + $2 WHERE campaign = $1', [
    campaign.number,
    first,
  ]);
  const shared = {
    context: ROOT_CONTEXT,
    links: links(linkTo(spanContextOf(campaign.span?.self), 'caused-by')),
    attributes: { [CAMPAIGN_ATTRIBUTE]: campaign.id },
  };
  await outbox.enqueueAll(
    tx,
    job,
    queued.map(({ recipient_id: recipient, round }) => {
      const payload = { campaign: campaign.id, recipient, round };
      return { ...shared, payload, jobId: deliverJobId(payload) };
    }),
  );
  return rows.length;
}

const ENQUEUE = `
  WITH due AS MATERIALIZED (
    SELECT recipient_id, CASE WHEN $3::text IS NOT NULL
      THEN throughline.quiet_until(now(), coalesce(time_zone, $3), $4::time, $5::time) END AS quiet_until
    FROM throughline.campaign_recipient
    WHERE campaign = $1 AND state = 'pending' AND due_at <= now()
    ORDER BY due_at, recipient_id LIMIT $2 FOR UPDATE SKIP LOCKED)
  UPDATE throughline.campaign_recipient r SET changed_at = now(),
    state = CASE WHEN due.quiet_until IS NULL THEN 'queued' ELSE 'pending' END,
    due_at = coalesce(due.quiet_until, r.due_at),
    round = r.round + CASE WHEN due.quiet_until IS NULL THEN 1 ELSE 0 END
  FROM due WHERE r.campaign = $1 AND r.recipient_id = due.recipient_id
  RETURNING r.recipient_id, r.round, r.state, r.round = 1 AS is_first`;

/** So many have to be tried before their failures mean anything. */
const FEWEST_TRIED = 50;
/** After so many the failures of before are history. */
const WATCHED = 2_000;

function reasonToHalt(campaign: CampaignRow, progress: ProgressRow, tally: LedgerTally): string | undefined {
  const limit = limitOf(campaign);
  for (const [what, number] of [
    ['were frozen', progress.frozen],
    ['were enqueued', progress.enqueued],
  ] as const) {
    if (number > limit) return `${number} recipients ${what}, and ${campaign.expected_count} were expected`;
  }
  const { bad, tried } = sinceWatched(progress, tally);
  const { maxFailureShare } = campaign.definition;
  if (tried < FEWEST_TRIED || bad <= tried * maxFailureShare) return undefined;
  return `${bad} of the last ${tried} recipients failed or are uncertain, and ${percent(maxFailureShare)} may`;
}

function sinceWatched({ watch_good, watch_bad }: ProgressRow, { sent, failed, uncertain }: LedgerTally) {
  const bad = failed + uncertain - watch_bad;
  return { bad, tried: sent - watch_good + bad };
}

async function watch(
  tx: Transaction,
  { number }: CampaignRow,
  progress: ProgressRow,
  tally: LedgerTally,
): Promise<void> {
  if (sinceWatched(progress, tally).tried < WATCHED) return;
  await tx.query(
    'UPDATE throughline.campaign_progress SET watch_good = $2, watch_bad = $3 WHERE campaign = $1',
    [number, tally.sent, tally.failed + tally.uncertain],
  );
}

function percent(share: number): string {
  return `${Math.round(share * 1_000) / 10} %`;
}
