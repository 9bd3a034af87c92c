import { afterAll, beforeAll, beforeEach, onTestFinished } from 'vitest';
import {
  approveCampaign,
  type CampaignDefinitionInput,
  type CampaignRunnerOptions,
  type CampaignView,
  createCampaignRunner,
  type DeliverJob,
  defineDeliverJob,
  registerCampaign,
  type Segment,
  startCampaign,
  watchCampaign,
} from '../../publisher/campaign/index.ts';
import { createRelay } from '../../publisher/index.ts';
import type { Database } from '../../shared/storage/database.ts';
import {
  type AskerOptions,
  type CampaignLedger,
  createCampaignLedger,
  createUncertainAsker,
  type DeliverOptions,
  handleDeliveries,
  type Worker,
  type WorkerOptions,
} from '../../subscriber/index.ts';
import { segments } from './campaign-segments.ts';
import type { Channel } from './channel.ts';
import { fencedBy } from './fence-lab.ts';
import { EMBEDDED } from './pubsub-target.ts';
import { createRecordingChannel, type RecordingChannel } from './recording-channel.ts';
import { type Stage, startStage } from './stage.ts';
import { createTestDatabase, type TestDatabase } from './test-database.ts';

/** Customers, a partner for mail, and all that sends them something, in the test's process. */
export interface CampaignLab {
  readonly stage: Stage;
  readonly db: TestDatabase;
  readonly channel: Channel;
  readonly mail: RecordingChannel;
  readonly segments: readonly Segment[];
  readonly job: DeliverJob;
  readonly ledger: CampaignLedger;
  addCustomer(id: string, customer?: Partial<Customer>): Promise<void>;
  /** Adds customers `c00001` …, numbered on from those that there are. */
  addCustomers(count: number, change?: Partial<Customer>): Promise<void>;
  /** Registers a campaign `autumn-terms` to everybody. */
  register(change?: Partial<CampaignDefinitionInput>): Promise<CampaignView>;
  /** Registers and approves it, with as many as there are unless told otherwise. */
  approve(change?: Partial<CampaignDefinitionInput>, expectedCount?: number): Promise<CampaignView>;
  start(): Promise<CampaignView>;
  runner(options?: Partial<CampaignRunnerOptions>): Promise<void>;
  relay(): Promise<void>;
  worker(options?: Partial<DeliverOptions>, workerOptions?: Partial<WorkerOptions>): Promise<Worker>;
  asker(options?: Partial<AskerOptions>): Promise<void>;
  /** Everything that is needed to send. */
  everything(): Promise<void>;
  /** Resolves when the campaign is as wanted. */
  until(isWanted: (view: CampaignView) => boolean): Promise<CampaignView>;
  /** The ledger: recipients by state. */
  ledgerRows(): Promise<readonly LedgerRow[]>;
}

export interface Customer {
  readonly email: string | null;
  readonly name: string | null;
  readonly plan: string;
  readonly zone: string | null;
}

export interface LedgerRow {
  readonly recipient_id: string;
  readonly state: string;
  readonly reason: string | null;
  readonly round: number;
  readonly tries: number;
  readonly reference: string | null;
}

export const ADA = { actor: 'ada' };
export const CAMPAIGN_ID = 'autumn-terms';
const TIMEOUT_MS = 25_000;

const CUSTOMERS = `
  CREATE TABLE customer (id text PRIMARY KEY, email text, name text, plan text NOT NULL, zone text);
  CREATE INDEX customer_plan ON customer (plan, id)`;

export async function createCustomers(database: Database): Promise<void> {
  await database.query(CUSTOMERS);
}

/** Adds customers `c00001` …, numbered on from those that there are. */
export async function addCustomers(
  database: Database,
  count: number,
  { email, name = 'Ann', plan = 'free', zone = null }: Partial<Customer> = {},
): Promise<void> {
  await database.query(
    `INSERT INTO customer SELECT 'c' || lpad(n::text, 5, '0'), CASE WHEN $6 THEN $2 ELSE 'c' || n || '@example.com' END, $3, $4, $5
     FROM generate_series((SELECT count(*) FROM customer) + 1, (SELECT count(*) FROM customer) + $1) n`,
    [count, email ?? null, name, plan, zone, email !== undefined],
  );
}

async function createCampaignLab(stage: Stage): Promise<CampaignLab> {
  const db = await createTestDatabase();
  onTestFinished(() => db.close());
  const { database } = db;
  await createCustomers(database);
  const channel = await stage.newChannel({ ackDeadlineMs: 10_000 });
  const mail = createRecordingChannel();
  const job = defineDeliverJob({ topic: channel.topic });
  const ledger = createCampaignLedger(database);
  const catalogue = { segments, channels: [mail] };

  const register: CampaignLab['register'] = (change) =>
    registerCampaign(database, {
      ...{ ...catalogue, ...ADA },
      definition: {
        ...{
          id: CAMPAIGN_ID,
          channel: 'email',
          category: 'terms',
          segments: ['everybody'],
          perSecond: 5_000,
        },
        template: { subject: 'New terms', body: 'Dear {{firstName}}, they are new.' },
        ...change,
      },
    });
  const until: CampaignLab['until'] = async (isWanted) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    let last: CampaignView | undefined;
    for await (const view of watchCampaign(database, { campaignId: CAMPAIGN_ID, everyMs: 20, signal })) {
      last = view;
      if (isWanted(view)) return view;
    }
    throw new Error(`the campaign did not become as wanted: ${JSON.stringify(last, undefined, 1)}`);
  };
  const stopped = async <T extends { start(): Promise<void>; stop(): Promise<void> }>(part: T) => {
    onTestFinished(() => part.stop());
    await part.start();
  };
  const lab: CampaignLab = {
    stage,
    ...{ db, channel, mail, segments, job, ledger, register, until },
    async addCustomer(id, { email = `${id}@example.com`, name = 'Ann', plan = 'free', zone = null } = {}) {
      await database.query('INSERT INTO customer VALUES ($1, $2, $3, $4, $5)', [id, email, name, plan, zone]);
    },
    addCustomers: (count, change) => addCustomers(database, count, change),
    async approve(change, expectedCount) {
      const { id: campaignId } = await register(change);
      const { rows } = await database.query<{ count: number }>(
        'SELECT count(*)::integer AS count FROM customer',
      );
      return approveCampaign(database, {
        campaignId,
        ...ADA,
        expectedCount: expectedCount ?? rows[0]?.count ?? 0,
      });
    },
    start: () => startCampaign(database, { campaignId: CAMPAIGN_ID, ...ADA }),
    runner: (options) =>
      stopped(
        createCampaignRunner({
          ...{ ...catalogue, database, job, source: 'shop', pollMs: 50, lostAfterMs: 200 },
          ...options,
        }),
      ),
    async relay() {
      await stopped(createRelay({ database, sink: channel.sink, pollMs: 50 }));
    },
    worker: (options, workerOptions) =>
      channel.work(
        (worker) =>
          handleDeliveries(worker, { ...{ job, ledger, channels: [mail], askAfterMs: 0 }, ...options }),
        { ...fencedBy(channel, database), ...workerOptions },
      ),
    asker: (options) =>
      stopped(
        createUncertainAsker({
          ...{ database, channels: [mail], pollMs: 20, askAgainMs: 20, ...options },
        }),
      ),
    async everything() {
      await Promise.all([lab.runner(), lab.relay(), lab.worker(), lab.asker()]);
    },
    async ledgerRows() {
      const { rows } = await database.query<LedgerRow & Record<string, unknown>>(
        `SELECT recipient_id, state, reason, round, tries, reference FROM throughline.campaign_recipient ORDER BY recipient_id`,
      );
      return rows;
    },
  };
  return lab;
}

/** For a file's tests: one stage, and a lab for each of them, which `use` is given before it. */
export function eachWithCampaignLab(use: (lab: CampaignLab) => void): void {
  let stage: Stage;
  beforeAll(async () => {
    stage = await startStage(EMBEDDED);
  });
  beforeEach(async () => {
    stage.collector.reset();
    use(await createCampaignLab(stage));
  });
  afterAll(() => stage.close());
}
