import type { AddressScheme } from '../../shared/campaign/channel.ts';
import { readTally } from '../../shared/campaign/recipient.ts';
import type { Database, Transaction } from '../../shared/storage/database.ts';
import { type Candidate, toCandidate } from './audience.ts';
import {
  type CampaignRow,
  floorOf,
  limitOf,
  type ProgressRow,
  readCampaign,
  takeProgress,
} from './campaign-rows.ts';
import { tellFreezing, withSpan } from './campaign-spans.ts';
import { changeByItself } from './change-state.ts';
import { type CampaignCatalogue, partsOf } from './register.ts';
import type { Segment } from './segment.ts';

/**
 * Writes a campaign's audience into its ledger, a page a transaction.
 *
 * Z1. A recipient is in the ledger once, and so is an address, however many segments and pages they are on.
 * Z2. How far it is commits with the page: whoever goes on, in whichever process, begins where the last page ended.
 * Z3. The count of the frozen is kept apart from the ledger's own, so that the two can be held against each other.
 * Z4. It stops itself as soon as there are more than meant, before anything is sent; and at the end when there are fewer.
 */
export interface FreezeOptions extends CampaignCatalogue {
  readonly database: Database;
  /** Users in a page. */
  readonly pageSize: number;
  /** Those that PostgreSQL knows. */
  readonly timeZones: ReadonlySet<string>;
}

/**
 * Freezes one page.
 *
 * Shape:  whether there is another one to do here.
 * Errors: CampaignInputError when this process lacks a segment or the channel; DatabaseUnavailableError.
 */
export async function freezePage(
  campaign: Pick<CampaignRow, 'number' | 'id'>,
  options: FreezeOptions,
): Promise<boolean> {
  return options.database.transaction(async (tx) => {
    const progress = await takeProgress(tx, campaign.number);
    if (!progress) return false;
    const current = await withSpan(tx, await readCampaign(tx, campaign.id));
    if (current.state !== 'freezing') return false;
    const { segments, channel } = partsOf(current.definition, options);
    const segment = segments[progress.segment];
    if (!segment) {
      await complete(tx, current, progress);
      return false;
    }
    const added = await freezeFrom(tx, { campaign: current, progress, segment, channel, ...options });
    const frozen = progress.frozen + added;
    if (frozen <= limitOf(current)) return true;
    await changeByItself(tx, current, {
      ...{ action: 'halted', to: 'halted', returnsTo: 'freezing' },
      reason: `${frozen} recipients were frozen, and ${meant(current)} were expected`, // Z4
    });
    return false;
  });
}

interface Page extends Pick<FreezeOptions, 'pageSize' | 'timeZones'> {
  readonly campaign: CampaignRow;
  readonly progress: ProgressRow;
  readonly segment: Segment;
  readonly channel: AddressScheme;
}

/** Z1, Z2, Z3. Shape: how many were not in the ledger yet. */
async function freezeFrom(
  tx: Transaction,
  { campaign: { number, definition }, progress, segment, channel, pageSize, timeZones }: Page,
): Promise<number> {
  const rows = await segment.page(tx, { after: progress.after_key ?? undefined, limit: pageSize });
  const candidates = rows.map((row) => toCandidate(row, definition.template, channel, timeZones));
  const added = await addRecipients(tx, number, candidates);
  const isSegmentOver = rows.length < pageSize;
  await tx.query(
    `UPDATE throughline.campaign_progress SET frozen = frozen + $2, repeated = repeated + $3,
       segment = segment + $4, after_key = $5 WHERE campaign = $1`,
    [
      number,
      added,
      candidates.length - added,
      isSegmentOver ? 1 : 0,
      isSegmentOver ? null : (rows.at(-1)?.key ?? null),
    ],
  );
  return added;
}

/** Shape: how many were not there yet. */
async function addRecipients(
  tx: Transaction,
  campaign: string,
  candidates: readonly Candidate[],
): Promise<number> {
  if (candidates.length === 0) return 0;
  const { rowCount } = await tx.query({
    name: 'throughline-campaign-freeze',
    text: `
      INSERT INTO throughline.campaign_recipient
        (campaign, recipient_id, state, address, address_key, fields, time_zone, reason)
      SELECT $1, "recipientId", CASE WHEN problem IS NULL THEN 'pending' ELSE 'failed' END, address, "addressKey", fields,
        "timeZone", problem
      FROM json_to_recordset($2::json) AS x ("recipientId" text, address text, "addressKey" text, fields json,
        "timeZone" text, problem text)
      ON CONFLICT DO NOTHING`,
    values: [campaign, JSON.stringify(candidates)],
  });
  return rowCount ?? 0;
}

/** Z4. Who cannot be reached has failed already; that is no reason to halt later. */
async function complete(tx: Transaction, campaign: CampaignRow, { frozen }: ProgressRow): Promise<void> {
  const { failed } = await readTally(tx, campaign.number);
  await tx.query(
    'UPDATE throughline.campaign_progress SET frozen_at = now(), watch_bad = $2 WHERE campaign = $1',
    [campaign.number, failed],
  );
  const isEnough = frozen >= floorOf(campaign);
  await changeByItself(
    tx,
    campaign,
    isEnough
      ? { action: 'frozen', to: 'frozen', details: { frozen } }
      : {
          ...{ action: 'halted', to: 'halted', returnsTo: 'frozen' },
          reason: `only ${frozen} recipients were frozen, and ${meant(campaign)} were expected`,
        },
  );
  tx.afterCommit(() => tellFreezing(campaign, frozen));
}

function meant({ expected_count, tolerance }: CampaignRow): string {
  return `${expected_count} ± ${Math.round(tolerance * 1_000) / 10} %`;
}
