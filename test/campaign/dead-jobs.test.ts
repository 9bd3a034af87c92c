import { describe, expect, onTestFinished, test } from 'vitest';
import { cancelCampaign, type Tally, viewCampaign } from '../../publisher/campaign/index.ts';
import { createMessageOutbox, createPublisher } from '../../publisher/index.ts';
import { type DeliverPayload, deliverJobId } from '../../shared/campaign/deliver-job.ts';
import { CAMPAIGN_ATTRIBUTE, createStreamingPullSource } from '../../shared/index.ts';
import { createCampaignLedger, createDeadLetterKeeper, redriveDeadLetter } from '../../subscriber/index.ts';
import { CAMPAIGN_ID, type CampaignLab, eachWithCampaignLab } from '../support/campaign-lab.ts';
import { fencedBy, fenceOff, lift } from '../support/fence-lab.ts';
import { createGate } from '../support/gate.ts';
import { gateDatabase } from '../support/gated-database.ts';

/** Jobs of campaigns that fences stop, that died, or that nobody has enqueued. */
let lab: CampaignLab;
eachWithCampaignLab((own) => {
  lab = own;
});

const view = () => viewCampaign(lab.db.database, CAMPAIGN_ID);
/** Also of a campaign that has ended, which nobody watches any more. */
const becomes = (recipients: Partial<Tally>) =>
  expect
    .poll(async () => (await view()).recipients, { timeout: 15_000, interval: 20 })
    .toMatchObject(recipients);
const ended = () => lab.until(({ endedAt }) => endedAt !== undefined);
const publish = (payload: DeliverPayload) =>
  createPublisher({ sink: lab.channel.sink, source: 'stranger' }).publish(lab.job, payload, {
    jobId: deliverJobId(payload),
    attributes: { [CAMPAIGN_ATTRIBUTE]: payload.campaign },
  });

describe('a fence', () => {
  test.each([
    ['on the campaign', { campaign: CAMPAIGN_ID }],
    ['on the job', { job: 'notification.deliver' }],
  ])(
    '%s that cancels: what is inside a call ends, what comes never runs, and what is handed over after it is lifted is sent',
    async (_what, target) => {
      await lab.addCustomers(150);
      const inside = createGate();
      const mayEnd = createGate();
      lab.mail.behave(async () => {
        inside.open();
        await mayEnd.opened;
        return undefined;
      });
      const fenced = fencedBy(lab.channel, lab.db.database);
      await lab.approve({ perSecond: 60 });
      await lab.start();
      await Promise.all([
        lab.runner({ batchSize: 20 }),
        lab.relay(),
        lab.worker({}, { ...fenced, maxInFlight: 5 }),
        lab.asker(),
      ]);
      await inside.opened;
      const fence = await fenceOff(lab.db.database, 'cancel', target, fenced.fences);
      const before = lab.mail.calls.length;
      mayEnd.open();
      // The first ones are found once the window is full of them.
      const { recipients } = await lab.until((one) => one.recipients.cancelled > 0);
      expect(lab.mail.calls.length).toBe(before);
      expect(recipients).toMatchObject({ failed: 0, uncertain: 0 });
      await lift(lab.db.database, fence, fenced.fences);
      const view = await ended();
      expect(view).toMatchObject({ state: 'finished', addsUp: true });
      expect(view.recipients.sent + view.recipients.cancelled).toBe(150);
      expect(view.recipients.sent).toBe(lab.mail.effects.size);
      expect(lab.mail.calls).toHaveLength(lab.mail.effects.size);
      expect(view.recipients.sent).toBeGreaterThan(before);
    },
  );

  test('that cancels while the ledger is asked lets nothing through', async () => {
    await lab.addCustomers(1);
    const gated = gateDatabase(lab.db.database);
    const fenced = fencedBy(lab.channel, lab.db.database);
    const hold = gated.hold((text) => text.startsWith('throughline-campaign-begin'), 'answer');
    await lab.approve();
    await lab.start();
    await Promise.all([
      lab.runner(),
      lab.relay(),
      lab.worker({ ledger: createCampaignLedger(gated) }, fenced),
    ]);
    await hold.reached;
    await fenceOff(lab.db.database, 'cancel', { campaign: CAMPAIGN_ID }, fenced.fences);
    hold.letGo();
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { cancelled: 1, sent: 0 } });
    expect(lab.mail.calls).toEqual([]);
  });

  test('that pauses keeps them, and sends each once when it is lifted', async () => {
    await lab.addCustomers(20);
    const fenced = fencedBy(lab.channel, lab.db.database);
    const fence = await fenceOff(lab.db.database, 'pause', { campaign: CAMPAIGN_ID });
    await lab.approve();
    await lab.start();
    await Promise.all([lab.runner(), lab.relay(), lab.worker({}, fenced), lab.asker()]);
    await lab.channel.settled.all(20);
    expect(lab.mail.calls).toEqual([]);
    await lift(lab.db.database, fence, fenced.fences);
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 20 } });
    expect(lab.mail.calls).toHaveLength(20);
  });
});

describe('a message that nobody has enqueued', () => {
  test.each<[string, DeliverPayload]>([
    ['of an earlier round', { campaign: CAMPAIGN_ID, recipient: 'c00001', round: 1 }],
    ['of a later round', { campaign: CAMPAIGN_ID, recipient: 'c00001', round: 3 }],
    ['of a campaign that is none', { campaign: 'winter', recipient: 'c00001', round: 2 }],
    ['of a recipient who is none', { campaign: CAMPAIGN_ID, recipient: 'c99999', round: 2 }],
    ['of somebody who cannot be reached', { campaign: CAMPAIGN_ID, recipient: 'nobody', round: 1 }],
  ])('%s sends nothing and changes nothing', async (_what, payload) => {
    await lab.addCustomers(1);
    await lab.addCustomer('nobody', { email: null });
    await lab.approve();
    await lab.start();
    await lab.runner();
    await lab.until(({ underWay }) => underWay.queued === 1);
    await lab.db.database.query(
      "UPDATE throughline.campaign_recipient SET round = 2 WHERE recipient_id = 'c00001'",
    );
    const before = await lab.ledgerRows();
    await lab.worker();
    await publish(payload);
    expect(await lab.channel.settled.final(1)).toMatchObject([{ outcome: 'done' }]);
    expect(await lab.ledgerRows()).toEqual(before);
    expect(lab.mail.calls).toEqual([]);
  });

  test.each([
    ['a NUL', { campaign: CAMPAIGN_ID, recipient: 'c\0', round: 1 }],
    ['half a pair', { campaign: '\ud800', recipient: 'c00001', round: 1 }],
    ['a round without end', { campaign: CAMPAIGN_ID, recipient: 'c00001', round: 2 ** 40 }],
    ['a field too many', { campaign: CAMPAIGN_ID, recipient: 'c00001', round: 1, address: 'me@example.com' }],
    ['nothing', {}],
  ])('with %s is a dead letter, and no others fail with it', async (_what, payload) => {
    await lab.addCustomers(20);
    await lab.approve();
    await lab.start();
    await Promise.all([lab.runner(), lab.worker(), lab.asker()]);
    await lab.until(({ underWay }) => underWay.queued === 20);
    await lab.channel.publishPlainly(JSON.stringify(payload), {
      'ce-specversion': '1.0',
      'ce-id': 'forged',
      'ce-type': lab.job.type,
      'ce-source': 'stranger',
      'content-type': 'application/json',
    });
    await lab.relay();
    const settled = await lab.channel.settled.final(21);
    expect(settled.filter(({ outcome }) => outcome === 'deadLetter')).toMatchObject([{ jobId: 'forged' }]);
    expect(lab.channel.settled.entries.filter(({ outcome }) => outcome === 'retry')).toEqual([]);
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 20 } });
  });
});

describe('a job that died', () => {
  const redrive = (letterId: string) =>
    redriveDeadLetter(lab.db.database, createMessageOutbox({ database: lab.db.database }), {
      ...{ letterId, actor: 'ada', reason: 'ticket 4711' },
    });

  /** A campaign to one recipient whose job is dead. Shape: its letter. */
  async function oneDead(): Promise<string> {
    const { ledger, channel, db } = lab;
    let isBroken = true;
    const { promise: letterId, resolve } = Promise.withResolvers<string>();
    const keeper = createDeadLetterKeeper({
      database: db.database,
      source: createStreamingPullSource(lab.stage.connection, { subscription: channel.deadLetterTopic }),
      topic: channel.topic,
      onKept: (letter) => resolve(letter.letterId),
    });
    onTestFinished(() => keeper.stop());
    await keeper.start();
    await lab.addCustomers(1);
    await lab.approve();
    await lab.start();
    const begin: typeof ledger.begin = async (...args) => {
      if (!isBroken) return ledger.begin(...args);
      isBroken = false;
      throw Object.assign(new Error('it is broken'), { retryable: false });
    };
    await Promise.all([lab.runner(), lab.relay(), lab.worker({ ledger: { ...ledger, begin } }), lab.asker()]);
    return letterId;
  }

  test('has failed, and is sent once when it is redriven, after its campaign has finished as well', async () => {
    const letterId = await oneDead();
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { failed: 1 } });
    expect(await lab.ledgerRows()).toMatchObject([{ reason: expect.stringContaining('given up: ') }]);
    await redrive(letterId);
    await becomes({ sent: 1 });
    await expect(redrive(letterId)).rejects.toMatchObject({ code: 'DEAD_LETTER_SETTLED' });
    expect(lab.mail.calls).toHaveLength(1);
    expect(await view()).toMatchObject({ state: 'finished', addsUp: true });
  });

  test.each([
    ['wants to rest', { kind: 'busy', retryAfterMs: 300, reason: '429' } as const],
    ['is not reached', { kind: 'unsent', reason: 'ECONNREFUSED' } as const],
  ])(
    'is retried by itself when the partner %s: a finished campaign makes no other job',
    async (_what, result) => {
      const letterId = await oneDead();
      await ended();
      lab.mail.behave(() => (lab.mail.calls.length === 1 ? result : undefined));
      await redrive(letterId);
      await lab.channel.settled.final(2);
      await becomes({ sent: 1 });
      expect(lab.mail.calls).toHaveLength(2);
      expect(lab.channel.settled.entries.at(-2)).toMatchObject({ outcome: 'retry' });
    },
  );

  test('waits by itself for a partner that rests', async () => {
    const letterId = await oneDead();
    await ended();
    await lab.db.database.query(
      "UPDATE throughline.campaign_progress SET hold_until = now() + interval '400 milliseconds'",
    );
    await redrive(letterId);
    await lab.channel.settled.final(2);
    expect(lab.channel.settled.entries.at(1)).toMatchObject({ outcome: 'retry' });
    await becomes({ sent: 1, pending: 0 });
  });

  test('and whose answer was lost in its second life is asked about, and never left waiting', async () => {
    const letterId = await oneDead();
    await ended();
    lab.mail.behave(() => {
      throw new Error('the connection broke');
    });
    await redrive(letterId);
    await lab.channel.settled.final(2);
    await becomes({ failed: 1 });
    expect(lab.mail.calls).toHaveLength(1);
  });

  test('is not revived in a campaign that was cancelled', async () => {
    const letterId = await oneDead();
    // Not running: a runner would find nothing to do, and finish it first.
    await lab.db.database.query("UPDATE throughline.campaign SET state = 'paused', ended_at = NULL");
    await cancelCampaign(lab.db.database, { campaignId: CAMPAIGN_ID, actor: 'grace', reason: 'a mistake' });
    await redrive(letterId);
    await becomes({ cancelled: 1 });
    expect((await lab.channel.settled.final(2)).at(-1)).toMatchObject({ outcome: 'cancelled' });
    await lab.db.database.query("UPDATE throughline.dead_letter SET state = 'open'");
    await expect(redrive(letterId)).rejects.toThrow('the job was cancelled (a mistake)');
    expect(lab.mail.calls).toEqual([]);
  });
});

test('a worker without the campaign’s channel sends nothing, and says of each recipient why', async () => {
  await lab.addCustomers(3);
  await lab.approve();
  await lab.start();
  const fax = { ...lab.mail, name: 'fax' };
  await Promise.all([lab.runner(), lab.relay(), lab.worker({ channels: [fax], maxTries: 1 }), lab.asker()]);
  expect(await ended()).toMatchObject({ state: 'finished', recipients: { failed: 3 } });
  expect(await lab.ledgerRows()).toMatchObject(Array(3).fill({ reason: 'this worker has no channel email' }));
  expect(lab.mail.calls).toEqual([]);
});
