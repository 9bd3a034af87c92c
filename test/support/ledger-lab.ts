import { onTestFinished } from 'vitest';
import { type Dispatched, dispatchBatch } from '../../publisher/campaign/dispatch.ts';
import { settleCancelled } from '../../publisher/campaign/end.ts';
import { freezePage } from '../../publisher/campaign/freeze.ts';
import {
  approveCampaign,
  type CampaignDefinitionInput,
  type CampaignView,
  defineDeliverJob,
  registerCampaign,
  startCampaign,
  viewCampaign,
} from '../../publisher/campaign/index.ts';
import { startWhenDue } from '../../publisher/campaign/runner.ts';
import { createOutbox } from '../../publisher/index.ts';
import type { DeliverPayload } from '../../shared/campaign/deliver-job.ts';
import type { Database } from '../../shared/storage/database.ts';
import { ADA, addCustomers, createCustomers, type LedgerRow } from './campaign-lab.ts';
import { segments } from './campaign-segments.ts';
import { createRecordingChannel, type RecordingChannel } from './recording-channel.ts';

/** Campaigns without queue, runner or worker: each step is taken when the test says so. */
export interface LedgerLab {
  readonly database: Database;
  readonly mail: RecordingChannel;
  /** A campaign that runs, to as many customers as there are. */
  runningCampaign(id: string, change?: Partial<CampaignDefinitionInput>): Promise<SteppedCampaign>;
}

export interface SteppedCampaign {
  readonly id: string;
  readonly number: string;
  dispatch(on?: Database): Promise<Dispatched>;
  settleCancelled(): Promise<boolean>;
  view(): Promise<CampaignView>;
  rows(): Promise<readonly LedgerRow[]>;
  /** Every job that was enqueued, the oldest first. */
  jobs(): Promise<readonly DeliverPayload[]>;
}

export async function createLedgerLab(database: Database, customers: number): Promise<LedgerLab> {
  await createCustomers(database);
  await addCustomers(database, customers);
  const mail = createRecordingChannel();
  const catalogue = { segments, channels: [mail] };
  const job = defineDeliverJob({ topic: 'notifications' });

  const runningCampaign: LedgerLab['runningCampaign'] = async (id, change) => {
    const definition = {
      ...{ id, channel: 'email', category: 'terms', segments: ['everybody'], perSecond: 100_000 },
      ...{ template: { subject: 'New terms', body: 'Dear {{firstName}}' }, ...change },
    };
    await registerCampaign(database, { ...catalogue, ...ADA, definition });
    await approveCampaign(database, { campaignId: id, ...ADA, expectedCount: customers });
    const { rows: found } = await database.query<{ number: string }>(
      'SELECT number FROM throughline.campaign WHERE id = $1',
      [id],
    );
    const number = found[0]?.number ?? '';
    const freeze = { ...catalogue, database, pageSize: 5_000, timeZones: new Set<string>() };
    while (await freezePage({ number, id }, freeze)) {
      // the next page
    }
    await startCampaign(database, { campaignId: id, ...ADA });
    await startWhenDue({ number, id, state: 'frozen' }, database);
    return {
      ...{ id, number },
      dispatch: (on = database) =>
        dispatchBatch(
          { number, id },
          { database: on, outbox: createOutbox({ database: on, source: 'shop' }), job, batchSize: 500 },
        ),
      settleCancelled: () => settleCancelled({ number, id }, database),
      view: () => viewCampaign(database, id),
      async rows() {
        const { rows } = await database.query<LedgerRow & Record<string, unknown>>(
          `SELECT recipient_id, state, reason, round, tries, reference FROM throughline.campaign_recipient
           WHERE campaign = $1 ORDER BY recipient_id`,
          [number],
        );
        return rows;
      },
      async jobs() {
        const { rows } = await database.query<{ data: string }>(
          `SELECT data FROM throughline.outbox WHERE starts_with(job_id, $1) ORDER BY id`,
          [`campaign/${id}/`],
        );
        return rows.map(({ data }) => JSON.parse(data) as DeliverPayload);
      },
    };
  };
  return { database, mail, runningCampaign };
}

/** How many rows of each campaign's ledger are in another state than the tally says; empty when it adds up. */
export async function tallyErrors(database: Database): Promise<readonly object[]> {
  const { rows } = await database.query(`
    SELECT campaign, state, coalesce(t.n, 0) AS told, coalesce(r.n, 0) AS counted FROM
      (SELECT campaign, state, sum(count)::integer AS n FROM throughline.campaign_tally GROUP BY 1, 2) t
      FULL JOIN (SELECT campaign, state, count(*)::integer AS n FROM throughline.campaign_recipient GROUP BY 1, 2) r
        USING (campaign, state)
    WHERE coalesce(t.n, 0) <> coalesce(r.n, 0)`);
  return rows;
}

/** Closed when the test has ended. */
export function endingWithTest(database: Database): Database {
  onTestFinished(() => database.close());
  return database;
}
