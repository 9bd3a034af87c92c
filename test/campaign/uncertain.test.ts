import { beforeEach, describe, expect, test } from 'vitest';
import { cancelCampaign, viewCampaign } from '../../publisher/campaign/index.ts';
import { deliverJobId } from '../../shared/campaign/deliver-job.ts';
import { createCampaignLedger } from '../../subscriber/index.ts';
import { CAMPAIGN_ID, type CampaignLab, eachWithCampaignLab } from '../support/campaign-lab.ts';
import { startDoomed } from '../support/doomed-process.ts';
import { createGate } from '../support/gate.ts';
import { gateDatabase } from '../support/gated-database.ts';
import { serveMail } from '../support/mail-partner.ts';
import { createSignals } from '../support/signals.ts';

/** Answers that were lost, and workers that died with a recipient in hand: asked about, never blindly sent again. */
let lab: CampaignLab;
eachWithCampaignLab((own) => {
  lab = own;
});

const ended = () => lab.until(({ endedAt }) => endedAt !== undefined);
const callsByKey = () => Map.groupBy(lab.mail.calls, ({ idempotencyKey }) => idempotencyKey);
const cancel = () =>
  cancelCampaign(lab.db.database, {
    ...{ campaignId: CAMPAIGN_ID, actor: 'grace', reason: 'a mistake', silenceWithinMs: 0 },
  });
const queuedOnce = () => lab.until(({ underWay }) => underWay.queued === 1);
const begun = async (customers: number) => {
  await lab.addCustomers(customers);
  await lab.approve({ maxFailureShare: 1 });
  await lab.start();
};

describe('an answer that was lost', () => {
  test('is asked for: who has it is not sent to again, who has not is, once', async () => {
    await begun(60);
    let calls = 0;
    lab.mail.behave(() => {
      calls += 1;
      if (calls > 60) return undefined;
      if (calls % 3 === 0) return 'lost';
      if (calls % 3 === 1) throw new Error('the connection broke before it was asked for anything');
      return undefined;
    });
    await lab.everything();
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 60 }, addsUp: true });
    expect(lab.mail.effects.size).toBe(60);
    expect(lab.mail.calls).toHaveLength(80); // twenty had not arrived
    expect(await lab.ledgerRows()).toMatchObject(
      Array.from({ length: 60 }, () => ({ reference: expect.stringContaining('mail campaign/') })),
    );
  });

  test('is not asked for before the partner can have done it', async () => {
    await begun(1);
    lab.mail.behave(() => 'lost');
    let questions = 0;
    lab.mail.behaveWhenAsked(async () => {
      questions += 1;
    });
    await Promise.all([lab.runner(), lab.relay(), lab.worker({ askAfterMs: 3_600_000 }), lab.asker()]);
    await lab.until(({ recipients }) => recipients.uncertain === 1);
    await lab.channel.settled.final(1);
    const { rows } = await lab.db.database.query(
      "SELECT FROM throughline.campaign_recipient WHERE due_at > now() + interval '50 minutes'",
    );
    expect(rows).toHaveLength(1);
    expect(questions).toBe(0);
  });

  test('of a partner that does not say is asked for again, and nothing is sent meanwhile', async () => {
    await begun(5);
    lab.mail.behave(() => 'lost');
    const asked = createSignals();
    lab.mail.behaveWhenAsked(async () => {
      asked.signal();
      if (asked.count <= 15) throw new Error('503');
    });
    await lab.everything();
    await asked.reached(15);
    expect(await viewCampaign(lab.db.database, CAMPAIGN_ID)).toMatchObject({
      state: 'running',
      addsUp: true,
    });
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 5 } });
    expect(lab.mail.calls).toHaveLength(5);
  });

  test('is asked for of others while one question is never answered', async () => {
    await begun(3);
    lab.mail.behave(() => 'lost');
    const never = createGate();
    let questions = 0;
    lab.mail.behaveWhenAsked(async () => {
      questions += 1;
      if (questions === 1) await never.opened;
    });
    await Promise.all([
      ...[lab.runner(), lab.relay(), lab.worker()],
      lab.asker({ maxInFlight: 1, answerWithinMs: 100 }),
    ]);
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 3 } });
    expect(lab.mail.calls).toHaveLength(3);
  });

  test('has failed after so many tries, each of which the partner has denied', async () => {
    await begun(2);
    lab.mail.behave(() => {
      throw new Error('the connection broke');
    });
    await Promise.all([lab.runner(), lab.relay(), lab.worker({ maxTries: 3 }), lab.asker({ maxTries: 3 })]);
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { failed: 2 } });
    expect([...callsByKey().values()].map(({ length }) => length)).toEqual([3, 3]);
    expect(lab.mail.effects.size).toBe(0);
  });

  test('is still cleared up after its campaign was cancelled', async () => {
    await begun(10);
    let calls = 0;
    lab.mail.behave(() => {
      calls += 1;
      if (calls % 2 === 0) return 'lost';
      throw new Error('the connection broke');
    });
    await Promise.all([lab.runner(), lab.relay(), lab.worker()]);
    await lab.until(({ recipients }) => recipients.uncertain === 10);
    await cancel();
    const left = await viewCampaign(lab.db.database, CAMPAIGN_ID);
    expect(left).toMatchObject({ state: 'cancelled', endedAt: undefined, recipients: { uncertain: 10 } });
    await lab.asker();
    expect(await ended()).toMatchObject({
      state: 'cancelled',
      recipients: { sent: 5, cancelled: 5 },
      addsUp: true,
    });
    expect(lab.mail.calls).toHaveLength(10);
  });
});

describe('a partner’s answer', () => {
  test.each([
    ['nothing', undefined],
    ['a kind that there is not', { kind: 'perhaps' }],
    ['a number for a reference', { kind: 'sent', reference: 7 }],
    ['a reference that cannot be stored', { kind: 'sent', reference: 'a\0\ud800' }],
    ['a rest without end', { kind: 'busy', retryAfterMs: Number.POSITIVE_INFINITY, reason: '429' }],
    ['a rest that is no number', { kind: 'busy', retryAfterMs: Number.NaN, reason: '429' }],
  ])('that is %s does no harm to others, and none is sent to twice', async (_what, answer) => {
    await begun(20);
    const all = createSignals();
    const asked = new Set<string>();
    const odd = {
      ...lab.mail,
      find: async (query: Parameters<typeof lab.mail.find>[0]) => {
        asked.add(query.idempotencyKey);
        return lab.mail.find(query);
      },
      send: async (notification: Parameters<typeof lab.mail.send>[0]) => {
        const result = await lab.mail.send(notification);
        all.signal();
        if (notification.address !== 'c7@example.com') return result;
        await all.reached(20); // nobody else is kept waiting by a rest
        return answer as typeof result;
      },
    };
    await Promise.all([
      lab.runner(),
      lab.relay(),
      lab.worker({ channels: [odd] }),
      lab.asker({ channels: [odd] }),
    ]);
    // Who is said to be busy waits, for a day at most.
    await lab.until(({ recipients }) => recipients.sent >= 19 && recipients.uncertain === 0);
    expect((await lab.ledgerRows()).filter(({ state }) => state !== 'sent').length).toBeLessThanOrEqual(1);
    expect(lab.mail.effects.size).toBe(20);
    expect([...asked].filter((key) => !key.endsWith('/c00007'))).toEqual([]);
    const { rows } = await lab.db.database.query(
      "SELECT FROM throughline.campaign_progress WHERE hold_until > now() + interval '25 hours'",
    );
    expect(rows).toEqual([]);
  });
});

describe('a worker that dies with recipients in hand', () => {
  test.each([
    ['before the partner has done it', false],
    ['after the partner has done it', true],
  ])('%s leaves nobody out, and sends to nobody twice', async (_when, isDone) => {
    await begun(3);
    const inside = createSignals();
    const never = createGate();
    const url = await serveMail({
      ...lab.mail,
      send: async (notification) => {
        if (isDone) await lab.mail.send(notification);
        inside.signal();
        await never.opened;
        return { kind: 'refused', reason: 'nobody hears it' };
      },
    });
    await Promise.all([lab.runner(), lab.relay()]);
    const worker = await startDoomed(
      ['test/campaign/worker-main.ts', lab.channel.topic, url],
      {
        DATABASE_URL: lab.db.url,
        PUBSUB_EMULATOR_HOST: lab.stage.host,
        GOOGLE_CLOUD_PROJECT: lab.stage.connection.projectId,
      },
      () => inside.reached(3),
    );
    await worker.kill();
    expect(await viewCampaign(lab.db.database, CAMPAIGN_ID)).toMatchObject({ underWay: { sending: 3 } });
    await Promise.all([lab.worker(), lab.asker({ sendingWithinMs: 500 })]);
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 3 }, addsUp: true });
    expect(lab.mail.calls).toHaveLength(3);
    expect(lab.mail.effects.size).toBe(3);
  });

  test('for a while, and wakes before it has sent, does not send any more', async () => {
    await begun(1);
    const gated = gateDatabase(lab.db.database);
    const hold = gated.hold((text) => text.startsWith('throughline-campaign-begin'), 'answer');
    const ledger = createCampaignLedger(gated);
    await Promise.all([lab.runner(), lab.worker({ ledger, sendWithinMs: 100 })]);
    await queuedOnce();
    const payload = { campaign: CAMPAIGN_ID, recipient: 'c00001', round: 1 };
    await lab.channel.publisher.publish(lab.job, payload, { jobId: deliverJobId(payload) });
    await hold.reached;
    await lab.asker({ sendingWithinMs: 200 });
    await queuedOnce(); // the partner has it not, so there is another job
    hold.letGo();
    await lab.channel.settled.final(1);
    expect(lab.mail.calls).toEqual([]);
    await lab.relay();
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 1 } });
    expect(lab.mail.calls).toHaveLength(1);
  });

  test('is found by the next delivery of its job, as soon as the claim has run out', async () => {
    await begun(1);
    const { ledger } = lab;
    await Promise.all([lab.runner(), lab.asker({ sendingWithinMs: 3_600_000 })]);
    await queuedOnce();
    const job = { campaign: CAMPAIGN_ID, recipient: 'c00001', round: 1 };
    expect(await ledger.begin(job)).toMatchObject({ kind: 'send' });
    expect(await ledger.begin(job)).toEqual({ kind: 'uncertain' });
    await Promise.all([lab.relay(), lab.worker()]);
    expect(await ended()).toMatchObject({ recipients: { sent: 1 } });
    expect(lab.mail.calls).toHaveLength(1);
  });
});

describe('a database that is away', () => {
  test('when a sending is settled: the partner is asked, and nobody is sent to twice', async () => {
    await begun(5);
    const gated = gateDatabase(lab.db.database);
    const lost = gated.loseStatement((text) => text.startsWith('throughline-campaign-settle'));
    await Promise.all([
      lab.runner(),
      lab.relay(),
      lab.worker({ ledger: createCampaignLedger(gated) }),
      lab.asker(),
    ]);
    await lost;
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 5 } });
    expect(lab.mail.calls).toHaveLength(5);
  });

  test('when a sending is begun, and says nothing of it: nobody knows, so the partner is asked', async () => {
    await begun(5);
    const gated = gateDatabase(lab.db.database);
    const lost = gated.loseAnswer((text) => text.startsWith('throughline-campaign-begin'));
    await Promise.all([
      lab.runner(),
      lab.relay(),
      lab.worker({ ledger: createCampaignLedger(gated) }),
      lab.asker(),
    ]);
    await lost;
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 5 } });
    expect(lab.mail.calls).toHaveLength(5);
    expect(lab.mail.effects.size).toBe(5);
  });
});

describe('a late word that it was sent', () => {
  const job = { campaign: CAMPAIGN_ID, recipient: 'c00001', round: 1 };
  const sent = { state: 'sent', reference: 'mail 1' } as const;
  const rows = async () => (await lab.ledgerRows()).map(({ state, reference }) => [state, reference]);

  beforeEach(async () => {
    await begun(1);
    await lab.runner();
    await queuedOnce();
    await lab.ledger.begin(job);
  });

  test('is believed after its worker was given up', async () => {
    expect(await lab.ledger.begin(job)).toEqual({ kind: 'uncertain' });
    await lab.ledger.settle(job, sent);
    expect(await rows()).toEqual([['sent', 'mail 1']]);
  });

  test('is believed after the partner had said that it was not, and keeps the next job from sending', async () => {
    await lab.ledger.begin(job);
    await lab.asker();
    await queuedOnce(); // the next round
    await lab.ledger.settle(job, sent);
    expect(await lab.ledger.begin({ ...job, round: 2 })).toEqual({ kind: 'over' });
    expect(await rows()).toEqual([['sent', 'mail 1']]);
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 1 }, addsUp: true });
  });

  test('is believed after the campaign was cancelled, and counted', async () => {
    await lab.ledger.begin(job);
    await cancel();
    await lab.asker();
    expect(await ended()).toMatchObject({ recipients: { cancelled: 1 } });
    await lab.ledger.settle(job, sent);
    expect(await rows()).toEqual([['sent', 'mail 1']]);
    expect(await viewCampaign(lab.db.database, CAMPAIGN_ID)).toMatchObject({
      recipients: { sent: 1, cancelled: 0 },
      addsUp: true,
    });
  });

  test('is believed beside the word of the sending after it', async () => {
    await lab.ledger.begin(job);
    await lab.asker();
    await queuedOnce();
    const next = { ...job, round: 2 };
    await lab.ledger.begin(next);
    await Promise.all([
      lab.ledger.settle(job, sent),
      lab.ledger.settle(next, { state: 'failed', reason: 'refused' }),
    ]);
    expect(await rows()).toEqual([['sent', 'mail 1']]);
  });

  test('of a failure is not', async () => {
    await lab.ledger.begin(job);
    await lab.ledger.settle(job, { state: 'failed', reason: 'refused' });
    expect(await rows()).toEqual([['uncertain', null]]);
  });
});
