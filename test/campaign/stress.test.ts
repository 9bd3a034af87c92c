import { afterAll, beforeAll, expect, test } from 'vitest';
import { pauseCampaign, resumeCampaign } from '../../publisher/campaign/index.ts';
import type { DeliverPayload } from '../../shared/campaign/deliver-job.ts';
import { type Database, openDatabase } from '../../shared/storage/database.ts';
import { type CampaignLedger, createCampaignLedger, createUncertainAsker } from '../../subscriber/index.ts';
import { ADA } from '../support/campaign-lab.ts';
import { createLedgerLab, endingWithTest, type SteppedCampaign, tallyErrors } from '../support/ledger-lab.ts';
import { createSignals } from '../support/signals.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** Four workers, two dispatchers, two operators and an asker at one ledger, all in a hurry. */
let db: TestDatabase;
beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.close());

const WORKERS = 4;
const FOR_MS = 6_000;
/** Rounds of the workers between two pauses: under constant ones nothing would be under way. */
const WORK_BETWEEN = 10;

test('nobody waits for another in a circle, and the tally counts what is there', async () => {
  const open = () => endingWithTest(openDatabase({ connectionString: db.url, lockTimeoutMs: 5_000 }));
  const lab = await createLedgerLab(open(), 2_000);
  const campaign = await lab.runningCampaign('stress', { maxFailureShare: 1 });
  const errors: string[] = [];
  const worked = createSignals();
  const endsMs = performance.now() + FOR_MS;
  const forAWhile = async (work: () => Promise<unknown>) => {
    while (performance.now() < endsMs)
      await work().catch((error) => errors.push(`${error.code} ${error.message}`));
  };
  const asker = createUncertainAsker({ database: open(), channels: [lab.mail], pollMs: 20, askAgainMs: 20 });
  await asker.start();
  const working = Promise.all(
    Array.from({ length: WORKERS }, () => {
      const [jobsOf, ledger] = [open(), createCampaignLedger(open())];
      return forAWhile(() => workOnce(jobsOf, campaign, ledger).finally(worked.signal));
    }),
  );
  const operator = async (database: Database) => {
    await pauseCampaign(database, { campaignId: 'stress', ...ADA, reason: 'stress' }).catch(stateOnly);
    await resumeCampaign(database, { campaignId: 'stress', ...ADA }).catch(stateOnly);
    await Promise.race([working, worked.reached(worked.count + WORK_BETWEEN)]);
  };
  await Promise.all([
    working,
    ...[open(), open()].map((database) => forAWhile(() => campaign.dispatch(database))),
    ...[open(), open()].map((database) => forAWhile(() => operator(database))),
  ]);
  await asker.stop();
  expect(errors).toEqual([]);
  expect(await tallyErrors(lab.database)).toEqual([]);
  expect(await campaign.view()).toMatchObject({ addsUp: true, frozen: 2_000 });
}, 60_000);

/** Of two operators at once one is refused. */
function stateOnly(error: unknown): void {
  if ((error as { code?: unknown }).code !== 'CAMPAIGN_STATE') throw error;
}

/** Takes jobs that others may take as well, in any order, as after claims that ran out. */
async function workOnce(
  database: Database,
  { number, id: campaign }: SteppedCampaign,
  ledger: CampaignLedger,
) {
  const { rows } = await database.query<{ recipient: string; round: number }>(
    `SELECT recipient_id AS recipient, round FROM throughline.campaign_recipient
     WHERE campaign = $1 AND state IN ('queued', 'sending') ORDER BY random() LIMIT 200`,
    [number],
  );
  await Promise.all(rows.map(({ recipient, round }) => deliver(ledger, { campaign, recipient, round })));
}

async function deliver(ledger: CampaignLedger, job: DeliverPayload): Promise<void> {
  const verdict = await ledger.begin(job);
  if (verdict.kind !== 'send') return;
  const isBusy = Math.random() < 0.02;
  await ledger.settle(job, {
    ...{ state: 'pending', reason: 'stress', afterMs: 0 },
    ...(isBusy && { holdMs: 1 }),
  });
}
