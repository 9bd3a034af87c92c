import type { SqlClient } from '../storage/sql-client.ts';

/**
 * What has become of a recipient.
 *
 * `pending`: nothing was sent yet; it waits, is queued, or is being sent. `uncertain`: it may have been sent, and the answer
 * was lost; the partner is asked. The others are final.
 */
export const RECIPIENT_STATES = [
  'pending',
  'sent',
  'suppressed',
  'cancelled',
  'failed',
  'uncertain',
] as const;
export type RecipientState = (typeof RECIPIENT_STATES)[number];

/** A row's state in the ledger: `pending` in three parts. */
export type LedgerState = RecipientState | 'queued' | 'sending';

export type Tally = Readonly<Record<RecipientState, number>>;

/** A tally that tells apart what is pending. */
export type LedgerTally = Readonly<Record<LedgerState, number>>;

export const NO_RECIPIENTS: LedgerTally = {
  pending: 0,
  queued: 0,
  sending: 0,
  sent: 0,
  suppressed: 0,
  cancelled: 0,
  failed: 0,
  uncertain: 0,
};

/** How many recipients of a campaign are in each state. Errors: DatabaseUnavailableError. */
export async function readTally(client: SqlClient, campaign: string): Promise<LedgerTally> {
  const { rows } = await client.query<{ state: LedgerState; count: number }>({
    name: 'throughline-campaign-tally',
    text: `
      SELECT state, sum(count)::integer AS count FROM throughline.campaign_tally
      WHERE campaign = $1 GROUP BY state`,
    values: [campaign],
  });
  return { ...NO_RECIPIENTS, ...Object.fromEntries(rows.map(({ state, count }) => [state, count])) };
}

export function publicTally({ queued, sending, pending, ...rest }: LedgerTally): Tally {
  return { pending: pending + queued + sending, ...rest };
}

export function totalOf(tally: Tally): number {
  return RECIPIENT_STATES.reduce((sum, state) => sum + tally[state], 0);
}
