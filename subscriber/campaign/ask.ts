import { idempotencyKeyOf, type NotificationChannel } from '../../shared/campaign/channel.ts';
import { CAMPAIGN_CHANNEL } from '../../shared/campaign/deliver-job.ts';
import { ThroughlineError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import { checkNumbers } from '../../shared/options.ts';
import type { Database } from '../../shared/storage/database.ts';
import { startPolling } from '../../shared/storage/polling.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { withTimeLimit } from '../../shared/time-limit.ts';
import { inSpan } from '../../shared/trace/in-span.ts';
import { count } from '../../shared/trace/meters.ts';
import { CAMPAIGN_ID } from '../../shared/trace/semconv.ts';
import { channelsByName } from './ledger.ts';

/**
 * Clears up what is uncertain: asks the partner, by idempotency key, whether it was sent.
 *
 * A1. Nothing uncertain is sent again unless the partner has said that it was not.
 * A2. What was not sent waits again while its campaign may go on, and has failed after `maxTries` or when the campaign has
 *     finished; of a campaign that was cancelled it is cancelled.
 * A3. A row that says `sending` for longer than any sending takes was left by a worker that died: it is uncertain.
 */
export interface AskerOptions {
  readonly database: Database;
  readonly channels: readonly NotificationChannel[];
  /** How often is looked for what is to be asked, besides being notified, in ms. Default 1_000. */
  readonly pollMs?: number;
  /** After this a partner that did not answer is asked again, in ms; doubled up to 64 times of it. Default 5_000. */
  readonly askAgainMs?: number;
  /** A partner that has not answered after this is taken for one that does not, in ms. Default 30_000. */
  readonly answerWithinMs?: number;
  /** Questions at a time. Default 20. */
  readonly maxInFlight?: number;
  /** A3: well above a channel's own time limit, in ms. Default 60_000. */
  readonly sendingWithinMs?: number;
  /** As given to `handleDeliveries`. Default 5. */
  readonly maxTries?: number;
  readonly logger?: Logger | undefined;
}

export interface Asker {
  /** May be called twice. */
  start(): Promise<void>;
  /** Waits for the questions under way. May be called twice. */
  stop(): Promise<void>;
}

/** What a partner may say; each series is there from the start. */
const ANSWERS = ['sent', 'not-sent', 'none'];

/** Errors: OptionsError. */
export function createUncertainAsker(options: AskerOptions): Asker {
  checkNumbers('createUncertainAsker', options, {
    pollMs: { min: 10 },
    askAgainMs: { min: 10 },
    answerWithinMs: { min: 1 },
    maxInFlight: { min: 1, whole: true },
    sendingWithinMs: { min: 100 },
    maxTries: { min: 1, whole: true },
  });
  const { database, pollMs = 1_000, sendingWithinMs = 60_000, logger } = options;
  const channels = channelsByName(options.channels);
  for (const channel of channels.keys())
    for (const answer of ANSWERS) count('throughline.campaign.questions', { channel, answer }, 0);
  let started: ReturnType<typeof startPolling> | undefined;
  let isStopped = false;
  const poll = async () => {
    await findAbandoned(database, sendingWithinMs);
    while (!isStopped && (await askSome(channels, options))) {
      // until nothing is to be asked now
    }
  };
  return {
    async start() {
      started ??= startPolling({
        ...{ database, channel: CAMPAIGN_CHANNEL, pollMs, logger, poll },
        what: 'asking about what is uncertain',
      });
      await started;
    },
    async stop() {
      isStopped = true;
      await (await started)?.stop();
    },
  };
}

/** A3. */
export async function findAbandoned(client: SqlClient, sendingWithinMs: number): Promise<void> {
  await client.query({
    name: 'throughline-campaign-abandoned',
    text: `
      UPDATE throughline.campaign_recipient SET state = 'uncertain', due_at = now(), changed_at = now(),
        reason = 'its worker died while it was being sent'
      WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM throughline.campaign_recipient
        WHERE state = 'sending' AND changed_at < now() - $1 * interval '1 millisecond' LIMIT 1000 FOR UPDATE SKIP LOCKED))
        AND state = 'sending'`,
    values: [sendingWithinMs],
  });
}

interface Uncertain {
  readonly campaign: string;
  readonly id: string;
  readonly channel: string;
  readonly recipient_id: string;
  readonly round: number;
}

/** Shape: whether there may be more. */
export async function askSome(
  channels: ReadonlyMap<string, NotificationChannel>,
  options: Omit<AskerOptions, 'channels'>,
): Promise<boolean> {
  const { database, askAgainMs = 5_000, answerWithinMs = 30_000, maxInFlight = 20, logger } = options;
  const rows = await takeUncertain(database, {
    channels: [...channels.keys()],
    limit: maxInFlight,
    askAgainMs,
  });
  await Promise.all(
    rows.map(async (row) => {
      try {
        await clearUp(row, await ask(row, channels, answerWithinMs), options);
      } catch (error) {
        count('throughline.campaign.questions', { channel: row.channel, answer: 'none' });
        logger?.warn(
          { err: error, campaign: row.id },
          'the partner did not say whether it was sent; it is asked again',
        );
      }
    }),
  );
  return rows.length === maxInFlight;
}

/** Taken rows are due again later, so that two processes do not ask at once, nor one that died keeps them. */
async function takeUncertain(
  client: SqlClient,
  {
    channels,
    limit,
    askAgainMs,
  }: { readonly channels: readonly string[]; readonly limit: number; readonly askAgainMs: number },
): Promise<Uncertain[]> {
  const { rows } = await client.query<Uncertain & Record<string, unknown>>({
    name: 'throughline-campaign-uncertain',
    text: `
      WITH due AS (
        SELECT r.campaign, r.recipient_id, c.id, c.channel FROM throughline.campaign_recipient r
        JOIN throughline.campaign c ON c.number = r.campaign
        WHERE r.state = 'uncertain' AND r.due_at <= now() AND c.channel = ANY($1::text[])
        ORDER BY r.due_at LIMIT $2 FOR UPDATE OF r SKIP LOCKED)
      UPDATE throughline.campaign_recipient r
      SET due_at = now() + least($3 * 64, greatest($3, extract(epoch FROM now() - changed_at) * 1000)) * interval '1 millisecond'
      FROM due WHERE r.campaign = due.campaign AND r.recipient_id = due.recipient_id
      RETURNING r.campaign, r.recipient_id, r.round, due.id, due.channel`,
    values: [channels, limit, askAgainMs],
  });
  return rows;
}

function ask(
  { id, recipient_id, channel: name }: Uncertain,
  channels: ReadonlyMap<string, NotificationChannel>,
  answerWithinMs: number,
): Promise<string | undefined> {
  const limit = {
    ...{ timeoutMs: answerWithinMs, settleMs: 0, controller: new AbortController() },
    onTimeout: () => new PartnerSilentError(name, answerWithinMs),
  };
  return inSpan(`ask ${name}`, { attributes: { [CAMPAIGN_ID]: id } }, () =>
    withTimeLimit(limit, async () =>
      channels.get(name)?.find({ campaign: id, idempotencyKey: idempotencyKeyOf(id, recipient_id) }),
    ),
  );
}

class PartnerSilentError extends ThroughlineError {
  override readonly name = 'PartnerSilentError';
  readonly code = 'PARTNER_SILENT';
  override readonly retryable = true;

  constructor(channel: string, withinMs: number) {
    super(`the partner of channel ${channel} has not answered within ${withinMs} ms`);
  }
}

/** A1, A2. */
async function clearUp(
  { campaign, recipient_id, round, channel }: Uncertain,
  reference: string | undefined,
  { database, maxTries = 5 }: Pick<AskerOptions, 'database' | 'maxTries'>,
): Promise<void> {
  count('throughline.campaign.questions', { channel, answer: reference === undefined ? 'not-sent' : 'sent' });
  await database.query({
    name: 'throughline-campaign-clear-up',
    text: `
      UPDATE throughline.campaign_recipient r SET reference = $4, changed_at = now(), due_at = now(),
        state = CASE WHEN $4::text IS NOT NULL THEN 'sent' WHEN c.state = 'cancelled' THEN 'cancelled'
          WHEN r.tries >= $5 OR c.state = 'finished' THEN 'failed' ELSE 'pending' END,
        reason = CASE WHEN $4::text IS NOT NULL THEN NULL WHEN c.state = 'cancelled' THEN c.reason ELSE r.reason END
      FROM throughline.campaign c
      WHERE c.number = r.campaign AND r.campaign = $1 AND r.recipient_id = $2 AND r.round = $3 AND r.state = 'uncertain'`,
    values: [campaign, recipient_id, round, reference ?? null, maxTries],
  });
}
