import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cancelCampaign, pauseCampaign, resumeCampaign } from '../../publisher/campaign/index.ts';
import { idempotencyKeyOf } from '../../shared/campaign/channel.ts';
import type { DeliverPayload } from '../../shared/campaign/deliver-job.ts';
import { askSome, findAbandoned } from '../../subscriber/campaign/ask.ts';
import { giveUp } from '../../subscriber/campaign/give-up.ts';
import type { Settlement } from '../../subscriber/campaign/ledger-rows.ts';
import { createCampaignLedger } from '../../subscriber/index.ts';
import { ADA } from '../support/campaign-lab.ts';
import { createLedgerLab, type LedgerLab, type SteppedCampaign, tallyErrors } from '../support/ledger-lab.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/**
 * Whatever happens in whatever order: the ledger adds up, and the partner, which does not know one key from another here, is
 * never asked to send again what had its effect, nor what it may still be doing.
 */
let db: TestDatabase;
let lab: LedgerLab;
beforeAll(async () => {
  db = await createTestDatabase();
  lab = await createLedgerLab(db.database, RECIPIENTS);
});
afterAll(() => db.close());

const RECIPIENTS = 3;
/** How a call at the partner ends, and what the worker lives to tell of it. */
const CALLS = ['sent', 'refused', 'busy', 'unsent', 'lost', 'not-arrived'] as const;
const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('dispatch' as const) }) },
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant('deliver' as const),
        which: fc.nat(), // of all jobs that there were: duplicates, and those of earlier rounds
        call: fc.constantFrom(...CALLS),
        end: fc.constantFrom('told' as const, 'told-late' as const, 'died' as const, 'inside' as const),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('land' as const), which: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('tell' as const), which: fc.nat() }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('ask' as const), answers: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('give-up' as const), which: fc.nat() }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('operate' as const),
        action: fc.constantFrom('pause' as const, 'resume' as const, 'resume' as const, 'cancel' as const),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('settle-cancelled' as const) }) },
  ),
  { minLength: 10, maxLength: 40, size: 'max' },
);
type Step = (typeof steps extends fc.Arbitrary<infer All extends readonly unknown[]> ? All : never)[number];

interface Call {
  readonly job: DeliverPayload;
  readonly key: string;
  readonly call: (typeof CALLS)[number];
}

/** A campaign with its workers and its partner. */
function createModel(campaign: SteppedCampaign) {
  const { database } = lab;
  const ledger = createCampaignLedger(database);
  const effects = new Set<string>();
  /** Calls that the partner has not answered yet. */
  const inside: Call[] = [];
  /** What workers have not told the ledger yet. */
  const untold: { readonly job: DeliverPayload; readonly settlement: Settlement }[] = [];
  const breaches: string[] = [];
  let doesAnswer = true;
  const channel = {
    ...lab.mail,
    async find({ idempotencyKey: key }: { readonly idempotencyKey: string }) {
      if (!doesAnswer || inside.some((call) => call.key === key)) throw new Error('503');
      return effects.has(key) ? `mail ${key}` : undefined;
    },
  };

  const settlementOf = ({ call, key }: Call): Settlement => {
    if (call === 'sent') return { state: 'sent', reference: `mail ${key}` };
    if (call === 'refused') return { state: 'failed', reason: 'refused' };
    if (call === 'busy') return { state: 'pending', reason: '429', afterMs: 0, holdMs: 0 };
    if (call === 'unsent') return { state: 'pending', reason: 'ECONNREFUSED', afterMs: 0 };
    return { state: 'uncertain', reason: 'the connection broke', afterMs: 0 };
  };
  const land = (call: Call) => {
    if (call.call === 'sent' || call.call === 'lost') effects.add(call.key);
  };
  const deliver = async (job: DeliverPayload, call: Call['call'], end: string) => {
    const verdict = await ledger.begin(job);
    if (verdict.kind !== 'send') return;
    const key = idempotencyKeyOf(job.campaign, job.recipient);
    if (effects.has(key)) breaches.push(`${job.recipient} was sent to again`);
    if (inside.some((one) => one.key === key)) breaches.push(`${job.recipient} was sent to while it was`);
    const made = { job, key, call };
    if (end === 'inside') return void inside.push(made);
    land(made);
    if (end === 'told') await ledger.settle(job, settlementOf(made));
    if (end === 'told-late') untold.push({ job, settlement: settlementOf(made) });
  };
  const operate = (action: 'pause' | 'resume' | 'cancel') => {
    const options = { campaignId: campaign.id, ...ADA, reason: 'x', silenceWithinMs: 0 };
    if (action === 'pause') return pauseCampaign(database, options);
    return action === 'resume' ? resumeCampaign(database, options) : cancelCampaign(database, options);
  };
  const ask = async () => {
    await findAbandoned(database, 0);
    await askSome(new Map([['email', channel]]), { database, askAgainMs: 0, maxTries: 100 });
  };
  const pick = <T>(from: readonly T[], which: number): T | undefined => from[which % from.length];
  const take = <T>(from: T[], which: number): T | undefined => from.splice(which % from.length, 1)[0];

  const step = async (one: Step): Promise<void> => {
    switch (one.kind) {
      case 'dispatch':
        return void (await campaign.dispatch());
      case 'settle-cancelled': {
        const { state } = await campaign.view();
        return void (state === 'cancelled' && (await campaign.settleCancelled()));
      }
      case 'deliver': {
        const job = pick(await campaign.jobs(), one.which);
        return job && deliver(job, one.call, one.end);
      }
      case 'land': {
        const call = take(inside, one.which);
        if (!call) return;
        land(call);
        return ledger.settle(call.job, settlementOf(call));
      }
      case 'tell': {
        const late = take(untold, one.which);
        return late && ledger.settle(late.job, late.settlement);
      }
      case 'ask':
        doesAnswer = one.answers;
        return ask();
      case 'give-up': {
        const job = pick(await campaign.jobs(), one.which);
        return job && giveUp(database, job, 'its job is dead');
      }
      case 'operate':
        return void (await operate(one.action).catch(stateOnly));
    }
  };
  /** What was begun comes to its end. */
  const finish = async () => {
    doesAnswer = true;
    await operate('resume').catch(stateOnly);
    for (const call of inside.splice(0)) {
      land(call);
      await ledger.settle(call.job, settlementOf(call));
    }
    for (const { job, settlement } of untold.splice(0)) await ledger.settle(job, settlement);
    for (let round = 0; round < 20 && (await campaign.view()).endedAt === undefined; round++) {
      await ask();
      await campaign.settleCancelled();
      await campaign.dispatch();
      for (const job of await campaign.jobs()) await deliver(job, 'sent', 'told');
    }
  };
  return { step, finish, effects, breaches };
}

function stateOnly(error: unknown): void {
  if ((error as { code?: unknown }).code !== 'CAMPAIGN_STATE') throw error;
}

let runs = 0;

test('the ledger adds up after each step, and nobody is sent to again who may have got it', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      runs += 1;
      const campaign = await lab.runningCampaign(`run-${runs}`, { maxFailureShare: 1 });
      const model = createModel(campaign);
      await campaign.dispatch();
      for (const one of all) {
        await model.step(one);
        const [errors, view] = await Promise.all([tallyErrors(lab.database), campaign.view()]);
        expect(errors).toEqual([]);
        expect(view).toMatchObject({ addsUp: true, frozen: RECIPIENTS });
        expect(model.breaches).toEqual([]);
      }
      await model.finish();
      const { endedAt, addsUp } = await campaign.view();
      expect([endedAt === undefined, addsUp, model.breaches]).toEqual([false, true, []]);
      const told = (await campaign.rows()).filter(({ state }) => state === 'sent');
      const keys = told.map(({ recipient_id }) => idempotencyKeyOf(campaign.id, recipient_id));
      expect(new Set(keys)).toEqual(model.effects); // the ledger says the truth
    }),
    { numRuns: 50 },
  );
}, 120_000);
