import { lockKey } from '../../shared/campaign/campaign-lock.ts';
import type { Fields, Template } from '../../shared/campaign/template.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { type Asked, columnsOf, GIVEN_UP, keyOf, type Verdict } from './ledger-rows.ts';

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

/** Asks the ledger about jobs, in one statement. Shape: a verdict per job, in order. */
export async function begin(client: SqlClient, jobs: readonly Asked[]): Promise<Verdict[]> {
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
    SELECT c.number, id, state, channel, category, cancelled_by, reason, state = 'finished' AS is_last,
      definition->'template' AS template, definition->'quietHours' AS quiet_hours
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
      FROM (SELECT g.quiet_hours AS q) x WHERE json_typeof(q) = 'object') quiet ON true
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
    CASE WHEN row_number() OVER (PARTITION BY c.campaign) = 1 THEN g.template END AS template
  FROM changed c JOIN gate g ON g.number = c.campaign`;
