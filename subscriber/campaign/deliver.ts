import {
  idempotencyKeyOf,
  type NotificationChannel,
  type SendResult,
} from '../../shared/campaign/channel.ts';
import type { DeliverJob, DeliverPayload } from '../../shared/campaign/deliver-job.ts';
import { render } from '../../shared/campaign/template.ts';
import { type Cancelled, done, type Outcome, retry } from '../../shared/job/outcome.ts';
import { backoffMs } from '../../shared/job/retry.ts';
import { count } from '../../shared/trace/meters.ts';
import { errorMessage } from '../../shared/trace/record-error.ts';
import type { JobDelivery } from '../delivery.ts';
import type { HandleOptions, Worker } from '../worker.ts';
import { giveUp } from './give-up.ts';
import { type CampaignLedger, channelsByName } from './ledger.ts';
import { GIVEN_UP, type Sending, type Settlement } from './ledger-rows.ts';

export interface DeliverOptions {
  readonly job: DeliverJob;
  readonly ledger: CampaignLedger;
  readonly channels: readonly NotificationChannel[];
  /**
   * After this the partner is asked about a recipient whose answer was lost, in ms: longer than it may take the partner to do
   * what it was asked for. Default 15_000.
   */
  readonly askAfterMs?: number;
  /**
   * A worker that was kept for longer between asking the ledger and sending does not send: others may have taken it for dead. In
   * ms, well below the asker's `sendingWithinMs` and the inbox's `claimMs`. Default 10_000.
   */
  readonly sendWithinMs?: number;
  /** So often a recipient is tried before it has failed. Default 5. */
  readonly maxTries?: number;
}

/** Longer rests are not believed: a partner that asks for a year has made a mistake. */
const LONGEST_REST_MS = 86_400_000;
const BACKOFF = { maxAttempts: 5, minBackoffMs: 1_000, maxBackoffMs: 60_000 };

/**
 * Registers what sends a recipient's notification. Every job is over when its handler is: what has to be sent again gets a new
 * job, at the campaign's pace.
 */
export function handleDeliveries(worker: Worker, options: DeliverOptions): void {
  const { job, ledger, askAfterMs = 15_000, sendWithinMs = 10_000 } = options;
  const channels = channelsByName(options.channels);
  createDeliverySeries([...channels.keys()]);
  const deliver = async ({ payload, checkFence }: JobDelivery<DeliverPayload>): Promise<Outcome> => {
    const askedMs = performance.now();
    const verdict = await ledger.begin(payload, { askAfterMs });
    if (verdict.kind === 'cancelled') return cancelledBy(verdict);
    if (verdict.kind === 'wait') return retry('it is quiet there, or the partner rests');
    if (verdict.kind !== 'send') return done();
    try {
      checkFence(); // one that was added while the ledger was asked
    } catch (error) {
      await ledger.settle(payload, settlementOf(FENCED, verdict, options));
      throw error;
    }
    const isLate = performance.now() - askedMs > sendWithinMs;
    const result = isLate ? LATE : await send(channels, payload, verdict);
    count('throughline.campaign.deliveries', { channel: verdict.channel, outcome: result.kind });
    const settlement = settlementOf(result, verdict, options);
    await ledger.settle(payload, settlement);
    if (!isGivenUp(settlement)) return done();
    return retry(settlement.reason ?? 'it was not sent', { afterMs: settlement.afterMs ?? 0 });
  };
  const onDeadLetter: HandleOptions<DeliverPayload>['onDeadLetter'] = async ({ payload }, reason, tx) => {
    if (tx) await giveUp(tx, payload, reason);
  };
  // Not aborted with the handler: a sending that is cut off half-way is uncertain for nothing, and its channel has a time limit.
  worker.handle(
    job,
    (delivery) => {
      delivery.checkFence();
      return deliver(delivery);
    },
    { onDeadLetter },
  );
}

const OUTCOMES: readonly SendResult['kind'][] = ['sent', 'refused', 'busy', 'unsent', 'unknown'];

/** A counter that is first seen at 1 has not increased. */
function createDeliverySeries(channels: readonly string[]): void {
  for (const channel of channels)
    for (const outcome of OUTCOMES) count('throughline.campaign.deliveries', { channel, outcome }, 0);
}

async function send(
  channels: ReadonlyMap<string, NotificationChannel>,
  { campaign, recipient }: DeliverPayload,
  { channel: name, address, fields, template }: Sending,
): Promise<SendResult> {
  const channel = channels.get(name);
  if (!channel) return { kind: 'unsent', reason: `this worker has no channel ${name}` };
  try {
    const idempotencyKey = idempotencyKeyOf(campaign, recipient);
    const result = await channel.send({ ...render(template, fields), campaign, address, idempotencyKey });
    if (OUTCOMES.includes(result?.kind)) return result;
    return { kind: 'unknown', reason: `channel ${name} answered what is no result` };
  } catch (error) {
    return { kind: 'unknown', reason: errorMessage(error) };
  }
}

const FENCED: SendResult = { kind: 'busy', retryAfterMs: 0, reason: 'a fence was added' };
const LATE: SendResult = { kind: 'busy', retryAfterMs: 0, reason: 'its worker was kept from sending it' };

function settlementOf(result: SendResult, sending: Sending, options: DeliverOptions): Settlement {
  const settlement = outcomeOf(result, sending, options);
  if (settlement.state !== 'pending' || !sending.isLastJob) return settlement;
  return { ...settlement, state: 'failed', reason: `${GIVEN_UP}${settlement.reason ?? ''}` }; // L5
}

function isGivenUp({ state, reason }: Settlement): boolean {
  return state === 'failed' && reason?.startsWith(GIVEN_UP) === true;
}

function outcomeOf(
  result: SendResult,
  { tries }: Sending,
  { askAfterMs = 15_000, maxTries = BACKOFF.maxAttempts }: DeliverOptions,
): Settlement {
  switch (result.kind) {
    case 'sent':
      return { state: 'sent', reference: result.reference };
    case 'refused':
      return { state: 'failed', reason: result.reason };
    case 'unknown':
      return { state: 'uncertain', reason: result.reason, afterMs: askAfterMs };
    case 'busy': {
      const restMs = Math.min(Math.max(result.retryAfterMs || 0, 0), LONGEST_REST_MS);
      return { state: 'pending', reason: result.reason, afterMs: restMs, holdMs: restMs };
    }
    case 'unsent':
      if (tries >= maxTries) return { state: 'failed', reason: result.reason };
      return { state: 'pending', reason: result.reason, afterMs: backoffMs(tries, BACKOFF) };
  }
}

function cancelledBy({ by, reason }: { readonly by: string; readonly reason: string }): Cancelled {
  return { kind: 'cancelled', by, reason };
}
