import type { DeliverPayload } from '../../shared/campaign/deliver-job.ts';
import type { Fields, Template } from '../../shared/campaign/template.ts';

/**
 * `send`: the row says `sending` now. `later`: the recipient waits again, and gets another job. `wait`: this job has
 * to be retried (ledger.ts: L5). `over`: there is nothing to do.
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
  /** The campaign has finished: nobody makes another one (ledger.ts: L5). */
  readonly isLastJob: boolean;
}

/** Begins the reason of those whose job is dead: a redrive may still send it. */
export const GIVEN_UP = 'given up: ';

/**
 * `pending`: nothing was sent, and it is to be tried again after `afterMs`. `holdMs`: nobody is sent to for so long, and it was
 * no try.
 */
export interface Settlement {
  readonly state: 'sent' | 'failed' | 'uncertain' | 'pending';
  readonly reference?: string;
  readonly reason?: string;
  readonly afterMs?: number;
  readonly holdMs?: number;
}

/** A job that asks whether to send. */
export interface Asked extends DeliverPayload {
  readonly askAfterMs: number;
}

/** A job that tells what came of it. */
export interface Settled extends DeliverPayload {
  readonly settlement: Settlement;
}

/** As arrays, for a statement about many jobs. */
export function columnsOf(jobs: readonly DeliverPayload[]): unknown[] {
  return [
    jobs.map(({ campaign }) => campaign),
    jobs.map(({ recipient }) => recipient),
    jobs.map(({ round }) => round),
  ];
}

export function keyOf(campaign: string, recipient: string, round: number): string {
  return JSON.stringify([campaign, recipient, round]);
}
