import { lockKey } from '../../shared/campaign/campaign-lock.ts';
import type { NotificationChannel } from '../../shared/campaign/channel.ts';
import type { DeliverPayload } from '../../shared/campaign/deliver-job.ts';
import type { Fields, Template } from '../../shared/campaign/template.ts';
import { storableText } from '../../shared/storable.ts';
import { type Database, DatabaseUnavailableError } from '../../shared/storage/database.ts';
import { GroupCommit } from '../../shared/storage/group-commit.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';

/**
 * The ledger as the worker uses it: asked before each sending, and told what came of it. Many jobs share a statement.
 *
 * L1. A recipient is sent to only after its row says `sending`, in a commit that shares the lock on a campaign that runs:
 *     whoever ends that state waits for it, and after that nobody begins.
 * L2. A row that says `sending` already was left by a worker that died: it is uncertain, and not sent again by anybody who
 *     has not asked the partner.
 * L3. A job of an earlier round changes nothing, unless to say that it was sent.
 * L4. That it was sent is believed whatever was made of the recipient meanwhile, by those who gave its worker up or cancelled
 *     the campaign; it is the truth.
 * L5. Of a campaign that has finished nobody makes another job: what cannot be sent at once stays given up, as the job's own
 *     retries may still send it.
 * L6. Rows are locked in the order of their keys, and after the campaign: those who share recipients never wait in a circle.
 */
export interface CampaignLedger {
  /** Whether to send to the recipient now. Errors: DatabaseUnavailableError. */
  begin(job: DeliverPayload, options?: BeginOptions): Promise<Verdict>;
  /** Errors: DatabaseUnavailableError: then it is not known, and the row says `sending`. */
  settle(job: DeliverPayload, settlement: Settlement): Promise<void>;
  /** Resolves when nothing is under way. */
  drained(): Promise<void>;
}

export interface BeginOptions {
  /** L2: after this the partner is asked, in ms; until then it may still be doing what the other worker has asked for. Default 0. */
  readonly askAfterMs?: number;
}

/**
 * `send`: the row says `sending` now. `later`: the recipient waits again, and gets another job. `wait`: this job
 * has to be retried (L5). `over`: there is nothing to do.
 */
export type Verdict =
  | Sending
  | { readonly kind: 'later' | 'wait' | 'over' | 'suppressed' | 'uncertain' }
  | { readonly kind: 'cancelled'; readonly by: string; readonly reason: string };

export interface Sending {
  readonly kind: 'send';
  readonly channel: string;
  readonly address: string;
  readonly fields: Fields;
  readonly template: Template;
  /** How often it was begun, this time included. */
  readonly tries: number;
  /** L5. */
  readonly isLastJob: boolean;
}

/** Begins the reason of those whose job is dead: a redrive may still send it. */
export const GIVEN_UP = 'given up: ';

/** `pending`: nothing was sent, and it is to be tried again after `afterMs`. `holdMs`: nobody is sent to for so long, and it was no try. */
export interface Settlement {
  readonly state: 'sent' | 'failed' | 'uncertain' | 'pending';
  readonly reference?: string;
  readonly reason?: string;
  readonly afterMs?: number;
  readonly holdMs?: number;
}

interface Asked extends DeliverPayload {
  readonly askAfterMs: number;
}

interface Settled extends DeliverPayload {
  readonly settlement: Settlement;
}

export function createCampaignLedger(database: Database): CampaignLedger {
  const begins = new GroupCommit<Asked, Verdict>({
    commit: (jobs) => begin(database, jobs),
    maxInFlight: 2,
    isolates,
  });
  const settles = new GroupCommit<Settled, undefined>({
    commit: (settled) => settle(database, settled),
    maxInFlight: 2,
    isolates,
  });
  return {
    begin: (job, { askAfterMs = 0 } = {}) => begins.add({ ...job, askAfterMs }),
    settle: (job, settlement) => settles.add({ ...job, settlement }),
    drained: async () => void (await Promise.all([begins.drained(), settles.drained()])),
  };
}

/** Class 22, data exceptions, and our own: one item's fault, and nothing was changed. */
function isolates(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' ? code.startsWith('22') : !(error instanceof DatabaseUnavailableError);
}

interface BegunRow {
  readonly id: string;
  readonly recipient_id: string;
  readonly round: number;
  readonly verdict: Verdict['kind'];
  readonly channel: string;
  readonly address: string;
  readonly fields: Fields;
  readonly template: Template | null;
  readonly tries: number;
  readonly is_last: boolean;
  readonly cancelled_by: string | null;
  readonly reason: string | null;
}

async function begin(client: SqlClient, jobs: readonly Asked[]): Promise<Verdict[]> {
  const { rows } = await client.query<BegunRow & Record<string, unknown>>({
    name: 'throughline-campaign-begin',
    text: BEGIN,
    values: [...columnsOf(jobs), jobs.map(({ askAfterMs }) => askAfterMs)],
  });
  const templates = new Map(rows.flatMap(({ id, template }) => (template ? [[id, template]] : [])));
  const begun = new Map(rows.map((row) => [keyOf(row.id, row.recipient_id, row.round), row]));
  return jobs.map(({ campaign, recipient, round }) => {
    const key = keyOf(campaign, recipient, round);
    const row = begun.get(key);
    begun.delete(key); // a second delivery of one job in a group finds nothing to do
    return row ? verdictOf(row, templates.get(campaign)) : { kind: 'over' };
  });
}

function verdictOf(row: BegunRow, template: Template | undefined): Verdict {
  const { verdict: kind, channel, address, fields, tries, is_last: isLastJob, cancelled_by, reason } = row;
  if (kind === 'send' && template) return { kind, channel, address, fields, template, tries, isLastJob };
  if (kind === 'cancelled') return { kind, by: cancelled_by ?? 'unknown', reason: reason ?? 'cancelled' };
  return { kind } as Verdict;
}

/**
 * L1, L2, L3, L5, L6. The row's lock, besides the campaign's, makes PostgreSQL read the row again as it is once whoever changed it has
 * committed.
 */
const BEGIN = `
  WITH turn AS MATERIALIZED (
    SELECT number, pg_advisory_xact_lock_shared(${lockKey('number')}) FROM (
      SELECT number FROM throughline.campaign WHERE id = ANY($1::text[]) ORDER BY number) c
  ), gate AS MATERIALIZED (
    SELECT c.number, id, state, channel, category, definition, cancelled_by, reason, state = 'finished' AS is_last
    FROM throughline.campaign c JOIN turn ON turn.number = c.number ORDER BY c.number FOR SHARE OF c
  ), asked AS MATERIALIZED (
    SELECT r.campaign, r.recipient_id, r.round, r.state AS seen, r.address_key, r.time_zone, a.ask_after_ms
    FROM unnest($1::text[], $2::text[], $3::integer[], $4::float8[]) AS a (id, recipient_id, round, ask_after_ms)
    JOIN gate g ON g.id = a.id
    JOIN throughline.campaign_recipient r ON r.campaign = g.number AND r.recipient_id = a.recipient_id AND r.round = a.round
      AND (r.state IN ('queued', 'sending') OR (r.state = 'failed' AND starts_with(r.reason, '${GIVEN_UP}')))
    ORDER BY r.campaign, r.recipient_id FOR UPDATE OF r
  ), decided AS MATERIALIZED (
    SELECT r.campaign, r.recipient_id, r.seen, quiet.ends_at AS quiet_until, p.hold_until, r.ask_after_ms, CASE
      WHEN r.seen = 'sending' THEN 'uncertain'
      WHEN g.state = 'cancelled' THEN 'cancelled'
      WHEN g.state NOT IN ('running', 'finished') THEN 'later'
      WHEN s.address_key IS NOT NULL THEN 'suppressed'
      WHEN p.hold_until > now() OR quiet.ends_at IS NOT NULL THEN CASE WHEN g.is_last THEN 'wait' ELSE 'later' END
      ELSE 'send' END AS verdict, s.reason AS suppressed_for
    FROM asked r JOIN gate g ON g.number = r.campaign
    JOIN throughline.campaign_progress p ON p.campaign = g.number
    LEFT JOIN LATERAL (
      SELECT address_key, reason FROM throughline.suppression s
      WHERE s.channel = g.channel AND s.address_key = r.address_key AND s.category IN ('*', g.category)
      LIMIT 1) s ON true
    LEFT JOIN LATERAL (
      SELECT throughline.quiet_until(now(), coalesce(r.time_zone, q->>'timeZone'), (q->>'from')::time, (q->>'to')::time) AS ends_at
      FROM (SELECT g.definition->'quietHours' AS q) x WHERE json_typeof(q) = 'object') quiet ON true
  ), changed AS (
    UPDATE throughline.campaign_recipient r SET
      state = CASE d.verdict WHEN 'send' THEN 'sending' WHEN 'later' THEN 'pending' WHEN 'wait' THEN d.seen ELSE d.verdict END,
      tries = r.tries + CASE d.verdict WHEN 'send' THEN 1 ELSE 0 END,
      due_at = CASE d.verdict WHEN 'later' THEN greatest(now(), d.hold_until, d.quiet_until)
        WHEN 'uncertain' THEN now() + d.ask_after_ms * interval '1 millisecond' ELSE r.due_at END,
      reason = CASE d.verdict WHEN 'uncertain' THEN 'its worker died while it was being sent'
        WHEN 'suppressed' THEN d.suppressed_for WHEN 'wait' THEN r.reason ELSE NULL END,
      changed_at = now()
    FROM decided d WHERE r.campaign = d.campaign AND r.recipient_id = d.recipient_id
    RETURNING r.campaign, r.recipient_id, r.round, r.address, r.fields, r.tries, d.verdict
  )
  SELECT g.id, c.recipient_id, c.round, c.verdict, g.channel, c.address, c.fields, c.tries, g.is_last, g.cancelled_by, g.reason,
    CASE WHEN row_number() OVER (PARTITION BY c.campaign) = 1 THEN g.definition->'template' END AS template
  FROM changed c JOIN gate g ON g.number = c.campaign`;

async function settle(client: SqlClient, told: readonly Settled[]): Promise<undefined[]> {
  await hold(client, told);
  const settled = onePerRecipient(told);
  const of = <T>(pick: (settlement: Settlement) => T) => settled.map(({ settlement }) => pick(settlement));
  await client.query({
    name: 'throughline-campaign-settle',
    text: SETTLE,
    values: [
      ...columnsOf(settled),
      of(({ state }) => state),
      of(({ reference }) => (reference === undefined ? null : storableText(reference, 500))),
      of(({ reason }) => (reason === undefined ? null : storableText(reason, 1_000))),
      of(({ afterMs = 0 }) => afterMs),
      of(({ holdMs }) => holdMs !== undefined),
    ],
  });
  return told.map(() => undefined);
}

/** First, and by itself: whoever has the progress locked may be waiting for the campaign, and so for those who begin (L6). */
async function hold(client: SqlClient, told: readonly Settled[]): Promise<void> {
  const holds = told.filter(({ settlement: { holdMs = 0 } }) => holdMs > 0);
  const byCampaign = Map.groupBy(holds, ({ campaign }) => campaign);
  for (const [campaign, own] of byCampaign) {
    await client.query({
      name: 'throughline-campaign-hold',
      text: `
        UPDATE throughline.campaign_progress SET hold_until = greatest(hold_until, now() + $2::float8 * interval '1 millisecond')
        WHERE campaign = (SELECT number FROM throughline.campaign WHERE id = $1)`,
      values: [campaign, Math.max(...own.map(({ settlement: { holdMs = 0 } }) => holdMs))],
    });
  }
}

/** What is said twice of one in a group, by a sending that was given up and by the one after it: that it was sent, or the last word. */
function onePerRecipient(told: readonly Settled[]): readonly Settled[] {
  const chosen = new Map<string, Settled>();
  for (const one of told) {
    const key = keyOf(one.campaign, one.recipient, 0);
    const other = chosen.get(key);
    const isSent = other?.settlement.state === 'sent';
    if (!other || (!isSent && (one.settlement.state === 'sent' || one.round >= other.round)))
      chosen.set(key, one);
  }
  return [...chosen.values()];
}

/** L3, L4, L6. What asks for a rest is no try. */
const SETTLE = `
  WITH told AS MATERIALIZED (
    SELECT r.campaign, a.* FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[],
      $7::float8[], $8::boolean[]) AS a (id, recipient_id, round, state, reference, reason, after_ms, is_rest)
    JOIN throughline.campaign c ON c.id = a.id
    JOIN throughline.campaign_recipient r ON r.campaign = c.number AND r.recipient_id = a.recipient_id
      AND ((r.round = a.round AND r.state = 'sending') OR (r.round >= a.round AND a.state = 'sent' AND r.state <> 'sent'))
    ORDER BY r.campaign, r.recipient_id FOR UPDATE OF r
  )
  UPDATE throughline.campaign_recipient r SET state = t.state, reference = t.reference, reason = t.reason, changed_at = now(),
    tries = r.tries - CASE WHEN t.is_rest THEN 1 ELSE 0 END, due_at = now() + t.after_ms * interval '1 millisecond'
  FROM told t WHERE r.campaign = t.campaign AND r.recipient_id = t.recipient_id`;

function columnsOf(jobs: readonly DeliverPayload[]): unknown[] {
  return [
    jobs.map(({ campaign }) => campaign),
    jobs.map(({ recipient }) => recipient),
    jobs.map(({ round }) => round),
  ];
}

function keyOf(campaign: string, recipient: string, round: number): string {
  return JSON.stringify([campaign, recipient, round]);
}

/**
 * Gives up a recipient whose job is dead: nothing was sent, or somebody has to ask. In the transaction that records the death.
 */
export async function giveUp(
  client: SqlClient,
  { campaign, recipient, round }: DeliverPayload,
  reason: string,
): Promise<void> {
  await client.query(
    `UPDATE throughline.campaign_recipient r SET state = CASE r.state WHEN 'queued' THEN 'failed' ELSE 'uncertain' END,
       reason = $4, due_at = now(), changed_at = now()
     FROM throughline.campaign c
     WHERE c.id = $1 AND r.campaign = c.number AND r.recipient_id = $2 AND r.round = $3 AND r.state IN ('queued', 'sending')`,
    [campaign, recipient, round, storableText(`${GIVEN_UP}${reason}`, 1_000)],
  );
}

/** By name. Errors: TypeError for two of one name. */
export function channelsByName(
  channels: readonly NotificationChannel[],
): ReadonlyMap<string, NotificationChannel> {
  const byName = new Map(channels.map((channel) => [channel.name, channel]));
  if (byName.size < channels.length) throw new TypeError('channels: expected names that differ');
  return byName;
}
