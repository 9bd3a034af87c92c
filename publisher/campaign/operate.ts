import { type Link, SpanKind } from '@opentelemetry/api';
import { CAMPAIGN_CHANNEL } from '../../shared/campaign/deliver-job.ts';
import { readTally } from '../../shared/campaign/recipient.ts';
import { auditAction } from '../../shared/operator-action.ts';
import type { Database, Transaction } from '../../shared/storage/database.ts';
import { spanContextOf } from '../../shared/trace/carrier.ts';
import { reserveSpan } from '../../shared/trace/durable-span.ts';
import { inSpan } from '../../shared/trace/in-span.ts';
import { links, linkTo } from '../../shared/trace/links.ts';
import { CAMPAIGN_ID } from '../../shared/trace/semconv.ts';
import { type CampaignRow, floorOf, limitOf, readCampaign, takeCampaign } from './campaign-rows.ts';
import { CampaignInputError, CampaignStateError } from './errors.ts';
import { checkOperator, type Operator } from './operator.ts';
import { silence } from './silence.ts';
import { type CampaignAction, POSSIBLE_IN, type ReturnState } from './state.ts';
import { type CampaignView, viewCampaign } from './view.ts';

/**
 * What operators do with campaigns.
 *
 * C1. State and audit row commit together, under the campaign's lock: of two operators at once the second is refused.
 * C2. Whoever sends shares the campaign's lock while a recipient's row is set to `sending`. Once a change has committed nobody
 *     begins under the old state.
 * C3. `pause` and `cancel` return when nobody is inside a partner's call any more, or after `silenceWithinMs` with the number of
 *     those who may be. What is cancelled stays so.
 * C4. Progress is locked before the campaign, by whoever needs both.
 */
export interface OperateCampaignOptions extends Operator {
  readonly campaignId: string;
  /** Kept with the action. */
  readonly reason?: string | undefined;
}

export interface ReasonedOptions extends OperateCampaignOptions {
  readonly reason: string;
}

export interface SilencingOptions extends ReasonedOptions {
  /** How long is waited for those inside a partner's call, in ms. Default 30_000. */
  readonly silenceWithinMs?: number;
}

export interface ApproveOptions extends OperateCampaignOptions {
  /** How many recipients are meant. The campaign halts when there are more, or fewer, by more than its tolerance. */
  readonly expectedCount: number;
  /** In place of the definition's. */
  readonly tolerance?: number | undefined;
}

/**
 * Lets the audience be frozen: from now on a runner writes it into the ledger. Nothing is sent before `startCampaign`. Of a campaign
 * that halted because of its count it corrects what is expected, and lets it go on.
 *
 * Errors: CampaignInputError, UnknownCampaignError, CampaignStateError, DatabaseUnavailableError.
 */
export async function approveCampaign(database: Database, options: ApproveOptions): Promise<CampaignView> {
  const { expectedCount, tolerance } = options;
  const issues = [
    !(Number.isInteger(expectedCount) && expectedCount >= 1 && expectedCount <= MAX_COUNT) &&
      `expectedCount: expected a whole number from 1 to ${MAX_COUNT}`,
    tolerance !== undefined && !(tolerance >= 0 && tolerance <= 1) && 'tolerance: expected 0 to 1',
  ].filter((issue) => issue !== false);
  if (issues.length > 0) throw new CampaignInputError('campaign approve', issues);
  return operate(database, 'approve', options, async (tx, row) => {
    await checkCount(tx, { ...row, expected_count: expectedCount, tolerance: tolerance ?? row.tolerance });
    const to = row.state === 'draft' ? 'freezing' : (row.returns_to ?? 'freezing');
    const span = row.span ?? reserveSpan(`campaign ${row.id}`, { attributes: { [CAMPAIGN_ID]: row.id } });
    await tx.query(
      `UPDATE throughline.campaign SET state = $2, returns_to = NULL, reason = NULL, expected_count = $3,
         tolerance = coalesce($4, tolerance), span = $5, approved_by = $6, approved_at = now()
       WHERE number = $1`,
      [row.number, to, expectedCount, tolerance ?? null, JSON.stringify(span), options.actor],
    );
    await tx.query(
      'INSERT INTO throughline.campaign_progress (campaign) VALUES ($1) ON CONFLICT DO NOTHING',
      [row.number],
    );
    await watchAfresh(tx, row);
    return { expectedCount, tolerance: tolerance ?? row.tolerance };
  });
}

const MAX_COUNT = 1_000_000_000;

/** What was counted already is not to be approved with another count. */
async function checkCount(tx: Transaction, row: CampaignRow): Promise<void> {
  const problem = await countProblem(tx, row);
  if (problem !== undefined) throw new CampaignInputError('campaign approve', [`expectedCount: ${problem}`]);
}

/** Shape: how what is expected differs from what was frozen; undefined: it does not, or is not complete. */
async function countProblem(tx: Transaction, row: CampaignRow): Promise<string | undefined> {
  const { rows } = await tx.query<{ frozen: number; frozen_at: Date | null }>(
    'SELECT frozen, frozen_at FROM throughline.campaign_progress WHERE campaign = $1',
    [row.number],
  );
  const { frozen = 0, frozen_at = null } = rows[0] ?? {};
  const isTooMany = frozen > limitOf(row);
  if (!isTooMany && (frozen_at === null || frozen >= floorOf(row))) return undefined;
  return `${frozen} recipients were frozen, and that is too ${isTooMany ? 'many' : 'few'} for ${row.expected_count} expected`;
}

/** Lets it be sent, as soon as its audience is frozen and its time has come. Errors: as `approveCampaign`. */
export function startCampaign(database: Database, options: OperateCampaignOptions): Promise<CampaignView> {
  return operate(database, 'start', options, async (tx, row) => {
    if (row.starts_at) throw new CampaignStateError(row.id, row.state, 'it was started already');
    const startsAt = row.definition.startsAt ?? null;
    await tx.query(
      'UPDATE throughline.campaign SET starts_at = coalesce($2::timestamptz, now()) WHERE number = $1',
      [row.number, startsAt],
    );
    return { startsAt };
  });
}

/**
 * Nobody is sent to from the moment this returns, until it is resumed (C2, C3). `underWay.sending` of what it returns are those
 * who may still be inside a partner's call.
 *
 * Errors: as `approveCampaign`.
 */
export async function pauseCampaign(database: Database, options: SilencingOptions): Promise<CampaignView> {
  const paused = await operate(database, 'pause', options, async (tx, row) => {
    await tx.query(
      "UPDATE throughline.campaign SET state = 'paused', returns_to = $2, reason = $3 WHERE number = $1",
      [row.number, row.state, options.reason.trim()],
    );
    return { from: row.state };
  });
  if (paused.underWay.sending === 0) return paused;
  await silence(database, { ...options, state: 'paused' });
  return viewCampaign(database, options.campaignId);
}

/** Goes on where it was paused or has halted. Errors: as `approveCampaign`; one with too many recipients, or too few, is to be approved again. */
export function resumeCampaign(database: Database, options: OperateCampaignOptions): Promise<CampaignView> {
  return operate(database, 'resume', options, async (tx, row) => {
    const problem = await countProblem(tx, row);
    if (problem !== undefined)
      throw new CampaignStateError(row.id, row.state, `${problem}; approve it with the count that is meant`);
    const to: ReturnState = row.returns_to ?? 'running';
    await tx.query(
      'UPDATE throughline.campaign SET state = $2, returns_to = NULL, reason = NULL WHERE number = $1',
      [row.number, to],
    );
    await watchAfresh(tx, row);
    return { to };
  });
}

/** What failed before is no reason to halt again. */
async function watchAfresh(tx: Transaction, { number }: CampaignRow): Promise<void> {
  const { sent, failed, uncertain } = await readTally(tx, number);
  await tx.query(
    'UPDATE throughline.campaign_progress SET watch_good = $2, watch_bad = $3 WHERE campaign = $1',
    [number, sent, failed + uncertain],
  );
}

export interface CancelOptions extends SilencingOptions {}

export interface CancelReceipt {
  readonly campaign: CampaignView;
  /** From the commit on until nobody was inside a partner's call. */
  readonly silentAfterMs: number;
  /** Who may still be: their worker died, or their partner is slow. They end as sent, or are asked about. */
  readonly stillInside: number;
}

/**
 * Ends a campaign for good: after this returns not one more notification leaves, in any process (C2, C3).
 *
 * Errors: as `approveCampaign`.
 */
export async function cancelCampaign(database: Database, options: CancelOptions): Promise<CancelReceipt> {
  const { campaignId } = options;
  let committedMs = 0;
  await operate(database, 'cancel', options, async (tx, row) => {
    tx.afterCommit(() => {
      committedMs = performance.now();
    });
    await tx.query(
      `UPDATE throughline.campaign SET state = 'cancelled', returns_to = NULL, reason = $2, cancelled_by = $3,
         ended_at = CASE state WHEN 'draft' THEN now() END WHERE number = $1`,
      [row.number, options.reason.trim(), options.actor],
    );
    return { from: row.state };
  });
  const stillInside = await silence(database, { ...options, state: 'cancelled' });
  const silentAfterMs = performance.now() - committedMs;
  return { campaign: await viewCampaign(database, campaignId), silentAfterMs, stillInside };
}

type Change = (tx: Transaction, row: CampaignRow) => Promise<object>;

/** C1. What an action has in common with the others. */
async function operate(
  database: Database,
  action: CampaignAction,
  options: OperateCampaignOptions,
  change: Change,
): Promise<CampaignView> {
  const { campaignId, actor, via, reason } = options;
  checkOperator(`campaign ${action}`, options, { isReasonNeeded: action === 'pause' || action === 'cancel' });
  const known = await readCampaign(database, campaignId);
  const spanOptions = {
    kind: SpanKind.INTERNAL,
    attributes: { [CAMPAIGN_ID]: campaignId },
    links: campaignLinks(known),
  };
  return inSpan(`operate campaign.${action}`, spanOptions, async () => {
    await database.transaction(async (tx) => {
      if (action === 'approve' || action === 'resume') await lockProgress(tx, known); // C4
      const row = await takeCampaign(tx, campaignId);
      if (!POSSIBLE_IN[action].includes(row.state)) throw refusal(action, row);
      const details = await change(tx, row);
      await auditAction(tx, {
        actor,
        via,
        action: `campaign.${action}`,
        target: campaignId,
        reason,
        details,
      });
      tx.afterCommit(() => database.notify(CAMPAIGN_CHANNEL));
    });
    return viewCampaign(database, campaignId);
  });
}

async function lockProgress(tx: Transaction, { number }: CampaignRow): Promise<void> {
  await tx.query('SELECT FROM throughline.campaign_progress WHERE campaign = $1 FOR UPDATE', [number]);
}

function campaignLinks({ span }: CampaignRow): Link[] {
  return links(linkTo(spanContextOf(span?.self), 'caused-by'));
}

function refusal(action: CampaignAction, row: CampaignRow): CampaignStateError {
  const { id, state, approved_by, approved_at, cancelled_by, reason } = row;
  if (state === 'cancelled')
    return new CampaignStateError(id, state, `it was cancelled by ${cancelled_by}: ${reason}`);
  if (action === 'approve' && approved_by !== null)
    return new CampaignStateError(
      id,
      state,
      `it was approved by ${approved_by} at ${approved_at?.toISOString()}`,
    );
  return new CampaignStateError(id, state, `expected ${POSSIBLE_IN[action].join(' or ')} to ${action} it`);
}
