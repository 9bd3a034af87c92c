import {
  idempotencyKeyOf,
  type NotificationChannel,
  type SendResult,
} from '../../shared/campaign/channel.ts';
import type { DeliverJob, DeliverPayload } from '../../shared/campaign/deliver-job.ts';
import { render } from '../../shared/campaign/template.ts';
import { type Cancelled, done, type Outcome } from '../../shared/job/outcome.ts';
import { backoffMs } from '../../shared/job/retry.ts';
import { count } from '../../shared/trace/meters.ts';
import { errorMessage } from '../../shared/trace/record-error.ts';
import type { HandleOptions, Worker } from '../worker.ts';
import { type CampaignLedger, channelsByName, giveUp, type Sending, type Settlement } from './ledger.ts';

export interface DeliverOptions {
  readonly job: DeliverJob;
  readonly ledger: CampaignLedger;
  readonly channels: readonly NotificationChannel[];
  /**
   * After this the partner is asked about a recipient whose answer was lost, in ms: longer than it may take the partner to do
   * what it was asked for. Default 15_000.
   */
  readonly askAfterMs?: number;
  /** So often a recipient is tried before it has failed. Default 5. */
  readonly maxTries?: number;
}

const BACKOFF = { maxAttempts: 5, minBackoffMs: 1_000, maxBackoffMs: 60_000 };

/**
 * Registers what sends a recipient's notification. Every job is over when its handler is: what has to be sent again gets a new
 * job, at the campaign's pace.
 */
export function handleDeliveries(worker: Worker, options: DeliverOptions): void {
  const { job, ledger } = options;
  const channels = channelsByName(options.channels);
  createDeliverySeries([...channels.keys()]);
  const deliver = async (payload: DeliverPayload): Promise<Outcome> => {
    const verdict = await ledger.begin(payload);
    if (verdict.kind === 'cancelled') return cancelledBy(verdict);
    if (verdict.kind !== 'send') return done();
    const result = await send(channels, payload, verdict);
    count('throughline.campaign.deliveries', { channel: verdict.channel, outcome: result.kind });
    await ledger.settle(payload, settlementOf(result, verdict, options));
    return done();
  };
  const onDeadLetter: HandleOptions<DeliverPayload>['onDeadLetter'] = async ({ payload }, reason, tx) => {
    if (tx) await giveUp(tx, payload, reason);
  };
  // Not aborted with the handler: a sending that is cut off half-way is uncertain for nothing, and its channel has a time limit.
  worker.handle(
    job,
    ({ payload, checkFence }) => {
      checkFence();
      return deliver(payload);
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
    return await channel.send({ ...render(template, fields), campaign, address, idempotencyKey });
  } catch (error) {
    return { kind: 'unknown', reason: errorMessage(error) };
  }
}

function settlementOf(
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
    case 'busy':
      return {
        ...{ state: 'pending', reason: result.reason },
        ...{ afterMs: result.retryAfterMs, holdMs: result.retryAfterMs },
      };
    case 'unsent':
      if (tries >= maxTries) return { state: 'failed', reason: result.reason };
      return { state: 'pending', reason: result.reason, afterMs: backoffMs(tries, BACKOFF) };
  }
}

function cancelledBy({ by, reason }: { readonly by: string; readonly reason: string }): Cancelled {
  return { kind: 'cancelled', by, reason };
}
