import { beforeEach, describe, expect, test } from 'vitest';
import {
  cancelCampaign,
  pauseCampaign,
  resumeCampaign,
  suppress,
  unsuppress,
  viewCampaign,
} from '../../publisher/campaign/index.ts';
import { createCampaignLedger } from '../../subscriber/index.ts';
import { CAMPAIGN_ID, type CampaignLab, eachWithCampaignLab } from '../support/campaign-lab.ts';
import { startDoomed } from '../support/doomed-process.ts';
import { createGate } from '../support/gate.ts';
import { gateDatabase } from '../support/gated-database.ts';
import { serveMail } from '../support/mail-partner.ts';
import { createSignals } from '../support/signals.ts';

/** What operators, recipients and the partner can stop, and when nothing more is sent. */
let lab: CampaignLab;
eachWithCampaignLab((own) => {
  lab = own;
});

const ada = { campaignId: CAMPAIGN_ID, actor: 'ada' };
const pausing = { ...ada, reason: 'wait' };
const pause = (more = {}) => pauseCampaign(lab.db.database, { ...pausing, ...more });
const resume = () => resumeCampaign(lab.db.database, ada);
const cancel = (more = {}) => cancelCampaign(lab.db.database, { ...ada, reason: 'a mistake', ...more });
const view = () => viewCampaign(lab.db.database, CAMPAIGN_ID);
const ended = () => lab.until(({ endedAt }) => endedAt !== undefined);
const queued = (count: number) => lab.until(({ underWay }) => underWay.queued === count);
const addresses = () => lab.mail.calls.map(({ address }) => address).toSorted();

describe('a pause', () => {
  test('is over with those who were inside when it returns; nobody is sent to until it is resumed, and then everybody once', async () => {
    await lab.addCustomers(300);
    await lab.approve({ perSecond: 200 });
    await lab.start();
    const calls = createSignals();
    lab.mail.behave(() => {
      calls.signal();
      return undefined;
    });
    await lab.everything();
    await calls.reached(30);
    const paused = await pause();
    const before = lab.mail.calls.length;
    expect(paused).toMatchObject({ state: 'paused', reason: 'wait', underWay: { sending: 0 } });
    await queued(0); // what was in the queue has come, and waits in the ledger again
    expect(lab.mail.calls).toHaveLength(before);
    expect(before).toBeLessThan(300);
    await resume();
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 300 }, addsUp: true });
    expect(lab.mail.calls).toHaveLength(300);
  });

  test('waits for a worker that was told to send, and has not yet', async () => {
    await lab.addCustomers(1);
    await lab.approve();
    await lab.start();
    const gated = gateDatabase(lab.db.database);
    const hold = gated.hold((text) => text.startsWith('throughline-campaign-begin'), 'answer');
    await Promise.all([lab.runner(), lab.relay(), lab.worker({ ledger: createCampaignLedger(gated) })]);
    await hold.reached;
    const order: string[] = [];
    lab.mail.behave(() => void order.push('called'));
    const returned = pause().then(() => order.push('paused'));
    await lab.until(({ state }) => state === 'paused');
    hold.letGo();
    await returned;
    expect(order).toEqual(['called', 'paused']);
  });

  test('of a slow partner returns all the same, with the number of those who may be inside', async () => {
    await lab.addCustomers(3);
    await lab.approve();
    await lab.start();
    const slow = createGate();
    const inside = createSignals();
    lab.mail.behave(async () => {
      inside.signal();
      await slow.opened;
      return undefined;
    });
    await lab.everything();
    await inside.reached(3);
    expect(await pause({ silenceWithinMs: 0 })).toMatchObject({ state: 'paused', underWay: { sending: 3 } });
    slow.open();
    await lab.until(({ recipients }) => recipients.sent === 3);
    await resume();
    expect(await ended()).toMatchObject({ state: 'finished' });
  });

  test('is served in turn: who begins to send after it was asked for waits behind it', async () => {
    await lab.addCustomers(2);
    await lab.approve();
    await lab.start();
    await lab.runner();
    await queued(2);
    const { database } = lab.db;
    const job = (recipient: string) => ({ campaign: CAMPAIGN_ID, recipient, round: 1 });
    const mayCommit = createGate();
    const isBegun = createGate();
    const first = database.transaction(async (tx) => {
      const verdict = await createCampaignLedger({ ...database, query: tx.query }).begin(job('c00001'));
      isBegun.open();
      await mayCommit.opened;
      return verdict;
    });
    await isBegun.opened;
    const paused = pause();
    const waiting = () => database.query("SELECT FROM pg_locks WHERE NOT granted AND locktype = 'advisory'");
    await expect.poll(async () => (await waiting()).rows.length, { timeout: 10_000 }).toBe(1);
    const second = lab.ledger.begin(job('c00002'));
    await expect.poll(async () => (await waiting()).rows.length, { timeout: 10_000 }).toBe(2);
    mayCommit.open();
    expect(await first).toMatchObject({ kind: 'send' });
    expect(await second).toEqual({ kind: 'later' });
    await lab.ledger.settle(job('c00001'), { state: 'sent', reference: 'mail 1' });
    expect(await paused).toMatchObject({ state: 'paused', recipients: { sent: 1, pending: 1 } });
  });
});

describe('a cancellation', () => {
  test('has silenced every worker in every process when it returns, and nothing is revived', async () => {
    await lab.addCustomers(400);
    const calls = createSignals();
    let isCancelled = false;
    let late = 0;
    const url = await serveMail({
      ...lab.mail,
      send: async (notification) => {
        if (isCancelled) late += 1;
        const result = await lab.mail.send(notification);
        calls.signal();
        return result;
      },
    });
    await lab.approve({ perSecond: 200 });
    await lab.start();
    const env = {
      DATABASE_URL: lab.db.url,
      PUBSUB_EMULATOR_HOST: lab.stage.host,
      GOOGLE_CLOUD_PROJECT: lab.stage.connection.projectId,
    };
    const worker = () => startDoomed(['test/campaign/worker-main.ts', lab.channel.topic, url], env);
    const workers = await Promise.all([worker(), worker()]);
    await Promise.all([lab.runner(), lab.relay(), lab.asker()]);
    await calls.reached(60);
    const receipt = await cancel();
    isCancelled = true;
    const before = lab.mail.calls.length;
    expect(receipt).toMatchObject({ stillInside: 0, campaign: { state: 'cancelled' } });
    const view = await ended();
    await lab.db.database.query('UPDATE throughline.outbox SET sent_at = NULL'); // a queue that redelivers all
    await expect
      .poll(async () => (await lab.db.database.query('SELECT FROM throughline.outbox')).rows, {
        timeout: 15_000,
      })
      .toEqual([]);
    expect(late).toBe(0);
    expect(lab.mail.calls).toHaveLength(before);
    expect(view).toMatchObject({ addsUp: true, recipients: { sent: before, cancelled: 400 - before } });
    await Promise.all(workers.map((one) => one.kill()));
  });

  test('says how many may still be inside a slow partner’s call, and they end as what they were', async () => {
    await lab.addCustomers(4);
    await lab.approve();
    await lab.start();
    const slow = createGate();
    const inside = createSignals();
    lab.mail.behave(async () => {
      inside.signal();
      await slow.opened;
      return undefined;
    });
    await Promise.all([lab.runner(), lab.relay(), lab.asker(), lab.worker({}, { maxInFlight: 3 })]);
    await inside.reached(3);
    expect(await cancel({ silenceWithinMs: 50 })).toMatchObject({ stillInside: 3 });
    expect((await view()).endedAt).toBeUndefined();
    slow.open();
    expect(await ended()).toMatchObject({
      state: 'cancelled',
      recipients: { sent: 3, cancelled: 1 },
      addsUp: true,
    });
    expect(lab.mail.calls).toHaveLength(3);
  });

  test('at the moment at which the campaign finishes is the one that counts, and its span is told once', async () => {
    await lab.addCustomers(1);
    const gated = gateDatabase(lab.db.database);
    const { traceId } = await lab.approve();
    await lab.start();
    await Promise.all([lab.runner({ database: gated }), lab.relay()]);
    await queued(1);
    const hold = gated.hold((text) => text.includes('pg_advisory_xact_lock('));
    await lab.worker();
    await hold.reached; // everybody is sent to, and nobody has said so
    await cancel();
    hold.letGo();
    expect(await ended()).toMatchObject({ state: 'cancelled', recipients: { sent: 1 } });
    await lab.stage.flush();
    const told = lab.stage.collector.spans.filter((span) => span.traceId === traceId);
    expect(told.filter(({ name }) => name === `campaign ${CAMPAIGN_ID}`)).toHaveLength(1);
  });
});

describe('time', () => {
  const timeIn = (timeZone: string, hours: number) =>
    new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit' }).format(
      Date.now() + hours * 3_600_000,
    );
  /** Quiet in Tokyo now, and therefore not in São Paulo, twelve hours away. */
  const quietHours = () => ({
    ...{ from: timeIn('Asia/Tokyo', -3), to: timeIn('Asia/Tokyo', 3), timeZone: 'Asia/Tokyo' },
  });
  const hoursUntilDue = async () => {
    const { rows } = await lab.db.database.query<{ id: string; hours: number }>(
      `SELECT recipient_id AS id, extract(epoch FROM due_at - now())::float8 / 3600 AS hours
       FROM throughline.campaign_recipient WHERE state = 'pending' ORDER BY recipient_id`,
    );
    return rows.map(({ id, hours }) => [id, Math.ceil(hours)]);
  };

  test('in which it is quiet where recipients live, or else where the campaign does, is kept', async () => {
    await lab.addCustomer('anywhere');
    await lab.addCustomer('sao-paulo', { zone: 'America/Sao_Paulo' });
    await lab.addCustomer('tokyo', { zone: 'Asia/Tokyo' });
    await lab.approve({ quietHours: quietHours() });
    await lab.start();
    await lab.everything();
    await lab.until(({ recipients }) => recipients.sent === 1);
    await expect.poll(hoursUntilDue, { timeout: 10_000 }).toEqual([
      ['anywhere', 3],
      ['tokyo', 3],
    ]);
    expect(addresses()).toEqual(['sao-paulo@example.com']);
  });

  test('that has become quiet since a job was enqueued is kept as well', async () => {
    await lab.addCustomer('tokyo', { zone: 'Asia/Tokyo' });
    await lab.approve();
    await lab.start();
    await lab.runner();
    await queued(1);
    await lab.db.database.query(
      "UPDATE throughline.campaign SET definition = (definition::jsonb || jsonb_build_object('quietHours', $1::jsonb))::json",
      [JSON.stringify(quietHours())],
    );
    const job = { campaign: CAMPAIGN_ID, recipient: 'tokyo', round: 1 };
    expect(await lab.ledger.begin(job)).toEqual({ kind: 'later' });
    expect(await hoursUntilDue()).toEqual([['tokyo', 3]]);
  });

  test.each([
    ['in the evening', '2026-01-10T21:30Z', '22:00', '08:00', '2026-01-11T07:00:00.000Z'],
    ['after midnight', '2026-01-11T06:59Z', '22:00', '08:00', '2026-01-11T07:00:00.000Z'],
    ['at its end', '2026-01-11T07:00Z', '22:00', '08:00', undefined],
    ['at its beginning', '2026-01-11T21:00Z', '22:00', '08:00', '2026-01-12T07:00:00.000Z'],
    ['before it', '2026-01-11T20:59Z', '22:00', '08:00', undefined],
    ['on the night that is an hour short', '2026-03-28T22:00Z', '22:00', '08:00', '2026-03-29T06:00:00.000Z'],
    ['at noon', '2026-01-11T11:30Z', '12:00', '13:00', '2026-01-11T12:00:00.000Z'],
    ['after noon', '2026-01-11T12:30Z', '12:00', '13:00', undefined],
  ])('is quiet in Berlin: %s', async (_when, at, from, to, until) => {
    const { rows } = await lab.db.database.query<{ until: Date | null }>(
      "SELECT throughline.quiet_until($1, 'Europe/Berlin', $2, $3) AS until",
      [at, from, to],
    );
    expect(rows[0]?.until?.toISOString()).toBe(until);
  });

  test('that has not come yet is waited for', async () => {
    await lab.addCustomers(3);
    const startsAtMs = Date.now() + 1_500;
    const calledAtMs: number[] = [];
    lab.mail.behave(() => void calledAtMs.push(Date.now()));
    await lab.approve({ startsAt: new Date(startsAtMs).toISOString() });
    await lab.start();
    await lab.everything();
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 3 } });
    expect(calledAtMs.filter((atMs) => atMs < startsAtMs)).toEqual([]);
  });
});

describe('who wants nothing', () => {
  test('gets nothing from the moment that is said, in whatever way the address is written', async () => {
    await lab.addCustomers(6);
    const { database } = lab.db;
    const say = (address: string, category?: string) => ({
      ...{ channel: lab.mail, address, actor: 'ada', reason: 'asked for it' },
      ...(category !== undefined && { category }),
    });
    await suppress(database, say('C1@Example.com'));
    await suppress(database, say('c2@example.com', 'terms'));
    await suppress(database, say('c3@example.com', 'offers'));
    await suppress(database, say('c4@example.com'));
    await suppress(database, say('c4@example.com'));
    expect(await unsuppress(database, say('c4@example.com'))).toBe(true);
    expect(await unsuppress(database, say('c4@example.com'))).toBe(false);
    await lab.approve();
    await lab.start();
    await Promise.all([lab.runner(), lab.relay(), lab.asker()]);
    await queued(6);
    await suppress(database, say('C5@EXAMPLE.COM', 'terms')); // whose job is on its way
    await lab.worker();
    expect(await ended()).toMatchObject({
      state: 'finished',
      recipients: { sent: 3, suppressed: 3 },
      addsUp: true,
    });
    expect(addresses()).toEqual(['c3@example.com', 'c4@example.com', 'c6@example.com']);
    const suppressed = (await lab.ledgerRows()).filter(({ state }) => state === 'suppressed');
    expect(suppressed.map(({ recipient_id, reason }) => [recipient_id, reason])).toEqual([
      ['c00001', 'asked for it'],
      ['c00002', 'asked for it'],
      ['c00005', 'asked for it'],
    ]);
  });

  test.each([
    ['ann', '*', 'address: expected an address of channel email'],
    [
      'a@example.com',
      'No Category',
      'category: expected 1 to 64 lower-case letters, digits and dashes, or *',
    ],
  ])('is not %j for %j', async (address, category, issue) => {
    const saying = { channel: lab.mail, address, category, actor: 'ada', reason: 'x' };
    await expect(suppress(lab.db.database, saying)).rejects.toThrow(issue);
  });
});

describe('a partner', () => {
  test('that asks for a rest gets it from all workers, and it is no try', async () => {
    await lab.addCustomers(3);
    await lab.approve();
    await lab.start();
    await lab.runner();
    await queued(3);
    const job = (recipient: string) => ({ campaign: CAMPAIGN_ID, recipient, round: 1 });
    const elsewhere = createCampaignLedger(lab.db.database);
    await lab.ledger.begin(job('c00001'));
    const rest = { state: 'pending', reason: '429', afterMs: 3_600_000, holdMs: 3_600_000 } as const;
    await lab.ledger.settle(job('c00001'), rest);
    expect(await elsewhere.begin(job('c00002'))).toEqual({ kind: 'later' });
    const { rows } = await lab.db.database.query(
      `SELECT recipient_id, tries FROM throughline.campaign_recipient
       WHERE state = 'pending' AND due_at > now() + interval '59 minutes' ORDER BY 1`,
    );
    expect(rows).toEqual([
      { recipient_id: 'c00001', tries: 0 },
      { recipient_id: 'c00002', tries: 0 },
    ]);
    const short = { ...rest, holdMs: 1 };
    await lab.ledger.settle(job('c00001'), short); // a shorter rest does not end a longer one
    expect(await elsewhere.begin(job('c00003'))).toEqual({ kind: 'later' });
  });

  test('that asks for a short one is sent the rest after it', async () => {
    await lab.addCustomers(30);
    let restsUntilMs = 0;
    let tooEarly = 0;
    let calls = 0;
    lab.mail.behave(() => {
      calls += 1;
      if (calls > 20 && Date.now() < restsUntilMs) tooEarly += 1;
      if (calls !== 10) return undefined;
      restsUntilMs = Date.now() + 700;
      return { kind: 'busy', retryAfterMs: 700, reason: '429' };
    });
    await lab.approve({ perSecond: 20 }); // ten at first, then one by one: few come before the rest is known
    await lab.start();
    await lab.everything();
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 30 } });
    expect(tooEarly).toBe(0);
    expect(lab.mail.calls).toHaveLength(31);
  });

  test('that refuses too many halts the campaign, which says so, and goes on when it is resumed', async () => {
    await lab.addCustomers(400);
    let isBroken = true;
    lab.mail.behave(() => (isBroken ? { kind: 'refused', reason: 'no such mailbox' } : undefined));
    await lab.approve({ perSecond: 100 });
    await lab.start();
    await lab.everything();
    const halted = await lab.until(({ state }) => state === 'halted');
    expect(halted.reason).toMatch(/^(\d+) of the last \1 recipients failed or are uncertain, and 5 % may$/);
    await queued(0);
    const { failed } = (await view()).recipients;
    expect(failed).toBeLessThan(400);
    isBroken = false;
    await resume();
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { failed, sent: 400 - failed } });
    expect(lab.mail.calls).toHaveLength(400);
  });
});

describe('the rate', () => {
  const times: number[] = [];
  /** The most calls that began within some time, less what was allowed in that time; at most 0. */
  const excess = (perSecond: number) =>
    times.reduce((worst, from, first) => {
      const over = times.map((to, last) =>
        last < first ? -1 : last - first + 1 - (perSecond * ((to - from) / 1_000 + 3) + 11),
      );
      return Math.max(worst, ...over);
    }, Number.NEGATIVE_INFINITY);
  beforeEach(() => {
    times.length = 0;
    lab.mail.behave(() => void times.push(performance.now()));
  });

  test('is that of all workers together, also after they were away', async () => {
    await lab.addCustomers(260);
    await lab.approve({ perSecond: 40 });
    await lab.start();
    await Promise.all([lab.runner(), lab.runner(), lab.relay(), lab.relay()]);
    // About as many as may wait for workers that are away: the last few do not make up a batch.
    await lab.until(({ underWay }) => underWay.queued > 70);
    await Promise.all([lab.worker(), lab.worker()]);
    await ended();
    expect(times).toHaveLength(260);
    expect(excess(40)).toBeLessThanOrEqual(0);
  });

  test('may be a recipient every other second', async () => {
    await lab.addCustomers(2);
    await lab.approve({ perSecond: 0.5 });
    await lab.start();
    await lab.everything();
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 2 } });
  });
});
