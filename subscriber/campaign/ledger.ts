import type { NotificationChannel } from '../../shared/campaign/channel.ts';
import type { DeliverPayload } from '../../shared/campaign/deliver-job.ts';
import type { Fields, Template } from '../../shared/campaign/template.ts';
import { storableText } from '../../shared/storable.ts';
import type { Database } from '../../shared/storage/database.ts';
import { GroupCommit } from '../../shared/storage/group-commit.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';

/**
 * The ledger as the worker uses it: asked before each sending, and told what came of it. Many jobs share a statement.
 *
 * L1. A recipient is sent to only after its row says `sending`, in a commit that holds a share lock on a campaign that runs:
 *     whoever ends that state waits for it, and after that nobody begins.
 * L2. A row that says `sending` already was left by a worker that died: it is uncertain, and not sent again by anybody who
 *     has not asked the partner.
 * L3. A job of an earlier round changes nothing.
 * L4. What came of a sending is taken also when somebody gave its worker up meanwhile; it is the truth.
 */
export interface CampaignLedger {
  /** Whether to send to the recipient now. Errors: DatabaseUnavailableError. */
  begin(job: DeliverPayload): Promise<Verdict>;
  /** Errors: DatabaseUnavailableError: then it is not known, and the row says `sending`. */
  settle(job: DeliverPayload, settlement: Settlement): Promise<void>;
  /** Resolves when nothing is under way. */
  drained(): Promise<void>;
}

/**
 * `send`: the row says `sending` now. `later`: the recipient waits again, and gets another job. `over`: there is nothing to do.
 */
export type Verdict =
  | Sending
  | { readonly kind: 'later' | 'over' | 'suppressed' | 'uncertain' }
  | { readonly kind: 'cancelled'; readonly by: string; readonly reason: string };

export interface Sending {
  readonly kind: 'send';
  readonly channel: string;
  readonly address: string;
  readonly fields: Fields;
  readonly template: Template;
  /** How often it was begun, this time included. */
  readonly tries: number;
}

/** `pending`: nothing was sent, and it is to be tried again after `afterMs`. `holdMs`: nobody is sent to for so long. */
export interface Settlement {
  readonly state: 'sent' | 'failed' | 'uncertain' | 'pending';
  readonly reference?: string;
  readonly reason?: string;
  readonly afterMs?: number;
  readonly holdMs?: number;
}

interface Settled extends DeliverPayload {
  readonly settlement: Settlement;
}

export function createCampaignLedger(database: Database): CampaignLedger {
  const begins = new GroupCommit<DeliverPayload, Verdict>({
    commit: (jobs) => begin(database, jobs),
    maxInFlight: 2,
  });
  const settles = new GroupCommit<Settled, undefined>({
    commit: (settled) => settle(database, settled),
    maxInFlight: 2,
  });
  return {
    begin: (job) => begins.add(job),
    settle: (job, settlement) => settles.add({ ...job, settlement }),
    drained: async () => void (await Promise.all([begins.drained(), settles.drained()])),
  };
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
  readonly cancelled_by: string | null;
  readonly reason: string | null;
}

async function begin(client: SqlClient, jobs: readonly DeliverPayload[]): Promise<Verdict[]> {
  const { rows } = await client.query<BegunRow & Record<string, unknown>>({
    name: 'throughline-campaign-begin',
    text: BEGIN,
    values: columnsOf(jobs),
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
  const { verdict: kind, channel, address, fields, tries, cancelled_by, reason } = row;
  if (kind === 'send' && template) return { kind, channel, address, fields, template, tries };
  if (kind === 'cancelled') return { kind, by: cancelled_by ?? 'unknown', reason: reason ?? 'cancelled' };
  return { kind } as Verdict;
}

/** L1, L2, L3. The lock makes PostgreSQL read the campaign again once whoever changes it has committed. */
const BEGIN = `
  WITH gate AS MATERIALIZED (
    SELECT number, id, state, channel, category, definition, cancelled_by, reason FROM throughline.campaign
    WHERE id = ANY($1::text[]) ORDER BY number FOR SHARE
  ), decided AS MATERIALIZED (
    SELECT r.campaign, r.recipient_id, r.round, r.state AS seen, quiet.ends_at AS quiet_until, p.hold_until, CASE
      WHEN r.state = 'sending' THEN 'uncertain'
      WHEN g.state = 'cancelled' THEN 'cancelled'
      WHEN g.state NOT IN ('running', 'finished') THEN 'later'
      WHEN s.address_key IS NOT NULL THEN 'suppressed'
      WHEN p.hold_until > now() OR quiet.ends_at IS NOT NULL THEN 'later'
      ELSE 'send' END AS verdict, s.reason AS suppressed_for
    FROM unnest($1::text[], $2::text[], $3::integer[]) AS a (id, recipient_id, round)
    JOIN gate g ON g.id = a.id
    JOIN throughline.campaign_progress p ON p.campaign = g.number
    JOIN throughline.campaign_recipient r ON r.campaign = g.number AND r.recipient_id = a.recipient_id AND r.round = a.round
      AND (r.state IN ('queued', 'sending') OR (r.state = 'failed' AND r.reason LIKE 'given up: %'))
    LEFT JOIN LATERAL (
      SELECT address_key, reason FROM throughline.suppression s
      WHERE s.channel = g.channel AND s.address_key = r.address_key AND s.category IN ('*', g.category)
      LIMIT 1) s ON true
    LEFT JOIN LATERAL (
      SELECT throughline.quiet_until(now(), coalesce(r.time_zone, q->>'timeZone'), (q->>'from')::time, (q->>'to')::time) AS ends_at
      FROM (SELECT g.definition->'quietHours' AS q) x WHERE json_typeof(q) = 'object') quiet ON true
  ), changed AS (
    UPDATE throughline.campaign_recipient r SET
      state = CASE d.verdict WHEN 'send' THEN 'sending' WHEN 'later' THEN 'pending' ELSE d.verdict END,
      tries = r.tries + CASE d.verdict WHEN 'send' THEN 1 ELSE 0 END,
      due_at = CASE d.verdict WHEN 'later' THEN greatest(now(), d.hold_until, d.quiet_until)
        WHEN 'uncertain' THEN now() ELSE r.due_at END,
      reason = CASE d.verdict WHEN 'uncertain' THEN 'its worker died while it was being sent'
        WHEN 'suppressed' THEN d.suppressed_for ELSE NULL END,
      changed_at = now()
    FROM decided d
    WHERE r.campaign = d.campaign AND r.recipient_id = d.recipient_id AND r.round = d.round AND r.state = d.seen
    RETURNING r.campaign, r.recipient_id, r.round, r.address, r.fields, r.tries, d.verdict
  )
  SELECT g.id, c.recipient_id, c.round, c.verdict, g.channel, c.address, c.fields, c.tries, g.cancelled_by, g.reason,
    CASE WHEN row_number() OVER (PARTITION BY c.campaign) = 1 THEN g.definition->'template' END AS template
  FROM changed c JOIN gate g ON g.number = c.campaign`;

async function settle(client: SqlClient, settled: readonly Settled[]): Promise<undefined[]> {
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
      of(({ holdMs = 0 }) => holdMs),
    ],
  });
  return settled.map(() => undefined);
}

/** L3, L4. Only what was sent is believed of a row that somebody else has given up. */
const SETTLE = `
  WITH told AS MATERIALIZED (
    SELECT c.number, a.* FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[],
      $7::float8[], $8::float8[]) AS a (id, recipient_id, round, state, reference, reason, after_ms, hold_ms)
    JOIN throughline.campaign c ON c.id = a.id
  ), held AS (
    UPDATE throughline.campaign_progress p SET hold_until = greatest(p.hold_until, now() + h.hold_ms * interval '1 millisecond')
    FROM (SELECT number, max(hold_ms) AS hold_ms FROM told WHERE hold_ms > 0 GROUP BY number) h WHERE p.campaign = h.number
  )
  UPDATE throughline.campaign_recipient r SET state = t.state, reference = t.reference, reason = t.reason, changed_at = now(),
    tries = r.tries - CASE WHEN t.hold_ms > 0 THEN 1 ELSE 0 END, due_at = now() + t.after_ms * interval '1 millisecond'
  FROM told t
  WHERE r.campaign = t.number AND r.recipient_id = t.recipient_id AND r.round = t.round
    AND (r.state = 'sending' OR (t.state = 'sent' AND r.state = 'uncertain'))`;

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
    [campaign, recipient, round, storableText(`given up: ${reason}`, 1_000)],
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
