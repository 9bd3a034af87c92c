import type { NotificationChannel } from '../../shared/campaign/channel.ts';
import type { DeliverPayload } from '../../shared/campaign/deliver-job.ts';
import { type Database, DatabaseUnavailableError } from '../../shared/storage/database.ts';
import { GroupCommit } from '../../shared/storage/group-commit.ts';
import { begin } from './begin.ts';
import type { Asked, Settled, Settlement, Verdict } from './ledger-rows.ts';
import { settle } from './settle.ts';

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

/** By name. Errors: TypeError for two of one name. */
export function channelsByName(
  channels: readonly NotificationChannel[],
): ReadonlyMap<string, NotificationChannel> {
  const byName = new Map(channels.map((channel) => [channel.name, channel]));
  if (byName.size < channels.length) throw new TypeError('channels: expected names that differ');
  return byName;
}
