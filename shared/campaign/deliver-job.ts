import { z } from 'zod';
import { defineJob, type Job } from '../job/define.ts';
import { isStorable, STORABLE } from '../storable.ts';

/** Where relays and runners listen for campaigns whose state changed, or that may go on. */
export const CAMPAIGN_CHANNEL = 'throughline_campaign';

/** A stranger's message shares a statement with others: PostgreSQL must be able to read it. */
const id = z.string().min(1).refine(isStorable, STORABLE);
const MAX_ROUND = 2_147_483_647;

/** Addresses and text stay in the ledger: neither the queue nor a dead letter holds them. */
const payload = z.strictObject({
  campaign: id.max(64),
  recipient: id.max(256),
  /** From 1; the ledger counts them, and lets only the last one send. */
  round: z.int().min(1).max(MAX_ROUND),
});

export type DeliverJob = Job<typeof payload>;
export type DeliverPayload = z.output<typeof payload>;

export interface DeliverJobOptions {
  readonly topic: string;
  /** Default `notification.deliver`. */
  readonly name?: string;
}

/** The job that sends one recipient's notification: publisher and worker define it with the same options. */
export function defineDeliverJob({ topic, name = 'notification.deliver' }: DeliverJobOptions): DeliverJob {
  return defineJob({
    ...{ name, version: 1, topic, payload },
    // What a partner does is the ledger's business and no attempt of the job: these are for a database that is away.
    retry: { maxAttempts: 10, minBackoffMs: 200, maxBackoffMs: 60_000 },
  });
}

export function deliverJobId({ campaign, recipient, round }: DeliverPayload): string {
  return `${deliverJobPrefix(campaign)}${recipient}/${round}`;
}

/** What the ids of all jobs of a campaign begin with. */
export function deliverJobPrefix(campaign: string): string {
  return `campaign/${campaign}/`;
}
