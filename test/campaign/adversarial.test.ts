import { describe, expect, test } from 'vitest';
import {
  approveCampaign,
  cancelCampaign,
  createCampaignRunner,
  defineSegment,
  pauseCampaign,
  previewCampaign,
  registerCampaign,
  resumeCampaign,
  startCampaign,
  viewCampaign,
} from '../../publisher/campaign/index.ts';
import { CAMPAIGN_ID, type CampaignLab, eachWithCampaignLab } from '../support/campaign-lab.ts';

/** Audiences, counts and operators that are not as expected. */
let lab: CampaignLab;
eachWithCampaignLab((own) => {
  lab = own;
});

const ada = { campaignId: CAMPAIGN_ID, actor: 'ada' };
const grace = { campaignId: CAMPAIGN_ID, actor: 'grace' };
const ended = () => lab.until(({ endedAt }) => endedAt !== undefined);
const inState = (state: string) => lab.until((view) => view.state === state);
const addresses = () => lab.mail.calls.map(({ address }) => address).toSorted();
const byState = async () =>
  Object.fromEntries((await lab.ledgerRows()).map(({ recipient_id, state }) => [recipient_id, state]));
const reasons = async () =>
  Object.fromEntries((await lab.ledgerRows()).map(({ recipient_id, reason }) => [recipient_id, reason]));
const view = () => viewCampaign(lab.db.database, CAMPAIGN_ID);

describe('the expected count', () => {
  test('is passed by one page: it halts at that page, nothing is sent, and goes on once it is approved as it is', async () => {
    await lab.addCustomers(40);
    await lab.approve({}, 30);
    await lab.start();
    await Promise.all([lab.runner({ pageSize: 10 }), lab.relay(), lab.worker(), lab.asker()]);
    const halted = await inState('halted');
    expect(halted).toMatchObject({
      reason: '40 recipients were frozen, and 30 ± 1 % were expected',
      frozen: 40,
      isFrozen: false,
      addsUp: true,
    });
    await expect(resumeCampaign(lab.db.database, ada)).rejects.toThrow(
      'campaign autumn-terms is halted: 40 recipients were frozen, and that is too many for 30 expected; approve it with the count that is meant',
    );
    await expect(approveCampaign(lab.db.database, { ...ada, expectedCount: 39 })).rejects.toThrow(
      'campaign approve: expectedCount: 40 recipients were frozen, and that is too many for 39 expected',
    );
    expect(lab.mail.calls).toEqual([]);
    await approveCampaign(lab.db.database, { ...grace, expectedCount: 40 });
    expect(await ended()).toMatchObject({ state: 'finished', frozen: 40, approvedBy: 'grace', addsUp: true });
    expect(new Set(addresses()).size).toBe(40);
    expect(lab.mail.calls).toHaveLength(40);
  });

  test('is not reached: it halts when the audience is complete, and no resumption gets round that', async () => {
    await lab.addCustomers(20);
    await lab.approve({}, 30);
    await lab.start();
    await lab.runner({ pageSize: 10 });
    expect(await inState('halted')).toMatchObject({
      reason: 'only 20 recipients were frozen, and 30 ± 1 % were expected',
      isFrozen: true,
    });
    await expect(resumeCampaign(lab.db.database, ada)).rejects.toThrow('that is too few for 30 expected');
    await expect(approveCampaign(lab.db.database, { ...ada, expectedCount: 25 })).rejects.toThrow(
      'expectedCount: 20 recipients were frozen, and that is too few for 25 expected',
    );
    await approveCampaign(lab.db.database, { ...ada, expectedCount: 20 });
    await Promise.all([lab.relay(), lab.worker()]);
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 20 } });
  });

  test.each([
    [0, 'expectedCount: expected a whole number from 1 to 1000000000'],
    [1.5, 'expectedCount: expected a whole number from 1 to 1000000000'],
    [Number.NaN, 'expectedCount: expected a whole number from 1 to 1000000000'],
  ])('%s is none', async (expectedCount, issue) => {
    await lab.register();
    await expect(approveCampaign(lab.db.database, { ...ada, expectedCount })).rejects.toMatchObject({
      code: 'CAMPAIGN_INPUT',
      issues: [issue],
    });
  });
});

describe('an audience', () => {
  test('that changes while it is frozen is written to once: who was there and who came behind', async () => {
    await lab.addCustomers(30);
    const { database } = lab.db;
    let pages = 0;
    const [everybody] = lab.segments;
    if (!everybody) throw new Error('there is a segment');
    const changing = {
      ...everybody,
      async page(...[client, options]: Parameters<typeof everybody.page>) {
        const rows = await everybody.page(client, options);
        pages += 1;
        if (pages === 1) {
          await lab.addCustomer('a-before-the-cursor');
          await lab.addCustomer('x-behind-it');
          await database.query("DELETE FROM customer WHERE id IN ('c00001', 'c00030')");
          await database.query("UPDATE customer SET id = 'y-moved' WHERE id = 'c00002'"); // seen twice, with one address
        }
        return rows;
      },
    };
    await lab.approve({ tolerance: 0.1 }, 30);
    await lab.start();
    await Promise.all([
      lab.runner({ pageSize: 10, segments: [changing] }),
      lab.relay(),
      lab.worker(),
      lab.asker(),
    ]);
    const finished = await ended();
    expect(finished).toMatchObject({ state: 'finished', frozen: 30, repeated: 1, addsUp: true });
    const states = await byState();
    expect(Object.keys(states)).not.toContain('a-before-the-cursor');
    expect(states).toMatchObject({ c00001: 'sent', 'x-behind-it': 'sent' });
    expect(Object.keys(states)).not.toContain('c00030');
    expect(addresses()).toHaveLength(30);
    expect(new Set(addresses()).size).toBe(30);
  });

  test('of several segments is written to once, and so is an address in two ways of writing', async () => {
    await lab.addCustomer('ann', { email: 'Ann@Example.com' });
    await lab.addCustomer('ann-again', { email: 'ann@example.COM' });
    await lab.addCustomer('bob', { plan: 'paid' });
    await lab.approve({ segments: ['everybody', 'paid', 'free'], tolerance: 0 }, 2);
    await lab.start();
    await lab.everything();
    expect(await ended()).toMatchObject({
      state: 'finished',
      frozen: 2,
      repeated: 4,
      recipients: { sent: 2 },
    });
    expect(addresses()).toEqual(['Ann@Example.com', 'bob@example.com']);
  });

  test('with recipients that cannot be written to says of each why, and the others get theirs', async () => {
    const { database } = lab.db;
    await lab.addCustomer('fine');
    await lab.addCustomer('nobody', { email: null });
    await lab.addCustomer('no-address', { email: 'ann at example.com' });
    await lab.addCustomer('nameless', { name: null });
    await lab.addCustomer('blank', { name: '  ' });
    await lab.addCustomer('huge', { name: 'x'.repeat(20_000) });
    await lab.addCustomer('atlantis', { zone: 'Atlantis/Capital' });
    await lab.addCustomer('', { email: 'empty@example.com' });
    await lab.addCustomer('k'.repeat(300), { email: 'long@example.com' });
    await lab.addCustomer(`odd "'; -- / {} \n ünicode 🎈`, {
      email: 'odd@example.com',
      name: "O'{{plan}}$&",
    });
    await lab.approve({ quietHours: { from: '00:00', to: '00:01', timeZone: 'Pacific/Kiritimati' } });
    await lab.start();
    await lab.everything();
    expect(await ended()).toMatchObject({
      state: 'finished',
      recipients: { sent: 3, failed: 7 },
      addsUp: true,
    });
    expect(await reasons()).toMatchObject({
      fine: null,
      nobody: 'address: expected an address of channel email',
      'no-address': 'address: expected an address of channel email',
      nameless: 'firstName: the template names what this recipient has not',
      blank: 'firstName: the template names what this recipient has not',
      huge: 'firstName: expected at most 10000 characters of text',
    });
    expect(addresses()).toEqual(['atlantis@example.com', 'fine@example.com', 'odd@example.com']);
    expect(lab.mail.calls.find(({ address }) => address.startsWith('odd'))?.body).toBe(
      "Dear O'{{plan}}$&, they are new.",
    );
    const { rows } = await database.query('SELECT FROM throughline.outbox');
    expect(rows).toEqual([]);
  });

  test('is previewed as it would be written to, and nothing is sent', async () => {
    await lab.addCustomers(12);
    await lab.addCustomer('nobody', { email: null });
    await lab.register({ segments: ['everybody', 'free'] });
    const preview = await previewCampaign(lab.db.database, {
      campaignId: CAMPAIGN_ID,
      segments: lab.segments,
      channels: [lab.mail],
    });
    expect(preview).toMatchObject({
      audience: 13,
      segments: [
        { name: 'everybody', count: 13 },
        { name: 'free', count: 13 },
      ],
      unreachable: [{ recipientId: 'nobody', problem: 'address: expected an address of channel email' }],
    });
    expect(preview.samples).toHaveLength(10);
    expect(preview.samples[0]).toEqual({
      ...{ recipientId: 'c00001', address: 'c1@example.com' },
      ...{ subject: 'New terms', body: 'Dear Ann, they are new.' },
    });
    expect(await lab.ledgerRows()).toEqual([]);
    expect(lab.mail.calls).toEqual([]);
  });

  test('whose query fails keeps its campaign where it is, and no other one', async () => {
    await lab.addCustomers(3);
    await lab.approve();
    await lab.start();
    const broken = defineSegment({
      ...{ name: 'everybody', description: 'x', fields: ['firstName'] },
      sql: 'SELECT id AS key, email AS address, no_such_column AS "firstName" FROM customer',
    });
    const told: string[] = [];
    const runner = createCampaignRunner({
      ...{ database: lab.db.database, job: lab.job, source: 'shop', pollMs: 20 },
      ...{ segments: [broken], channels: [lab.mail] },
      logger: { warn: ({ err }: { err: Error }) => told.push(err.message) } as never,
    });
    await runner.start();
    await expect.poll(() => told[0], { timeout: 10_000 }).toContain('no_such_column');
    await runner.stop();
    await lab.everything();
    expect(await ended()).toMatchObject({ state: 'finished', recipients: { sent: 3 } });
  });
});

describe('a definition', () => {
  test.each<[string, object, string[]]>([
    [
      'with an unknown field',
      { template: { subject: 'Dear {{firstname}}', body: 'x {{ plan }}' } },
      ['template.subject: {{firstname}} is no field of the audience; the audience has firstName, plan'],
    ],
    [
      'with what is no field',
      { template: { subject: '', body: 'x {{a b}} {{' } },
      [
        'template.body: {{a b}} is no name of a field',
        'template.body: expected every "{{" to have its "}}", see "x {{a b}} {{"',
      ],
    ],
    [
      'with names from elsewhere',
      { channel: 'fax', segments: ['everybody', 'nobody'] },
      [
        'channel: there is no fax; there are email',
        'segments: there is no nobody; there are everybody, free, paid',
      ],
    ],
    [
      'with times that are none',
      { startsAt: 'tomorrow', quietHours: { from: '25:00', to: '08:00', timeZone: 'CEST' } },
      [
        'startsAt: Invalid ISO datetime',
        'quietHours.from: expected a time of day like 22:00',
        'quietHours.timeZone: expected a time zone by its IANA name, like Europe/Berlin',
      ],
    ],
    [
      'with a time zone that only others know',
      { quietHours: { from: '22:00', to: '08:00', timeZone: 'Atlantis/Capital' } },
      ['quietHours.timeZone: expected a time zone by its IANA name, like Europe/Berlin'],
    ],
    [
      'with what cannot be stored',
      { template: { subject: 'a\0', body: 'b\ud800' } },
      ['template.subject: expected text without NUL and without halves of surrogate pairs'],
    ],
    [
      'that makes two mails of one',
      { template: { subject: 'a\r\nBcc: all@example.com', body: 'x' } },
      ['template.subject: expected one line'],
    ],
    ['with a rate of nothing', { perSecond: 0 }, ['perSecond: Too small: expected number to be >=0.01']],
    [
      'with a start that no calendar has',
      { startsAt: '0000-01-01T00:00:00Z' },
      ['startsAt: expected a year from 2000 on'],
    ],
  ])('%s is refused with every reason', async (_what, change, issues) => {
    await expect(lab.register(change as never)).rejects.toMatchObject({ code: 'CAMPAIGN_INPUT', issues });
  });

  test.each([[null], [[]], ['x'], [4]])('that is %j is refused', async (definition) => {
    await expect(
      registerCampaign(lab.db.database, {
        ...{ segments: lab.segments, channels: [lab.mail], actor: 'ada', definition },
      }),
    ).rejects.toMatchObject({ code: 'CAMPAIGN_INPUT', issues: [expect.stringMatching(/^definition: /)] });
  });

  test('whose id is taken is refused, with who has it', async () => {
    await lab.register();
    await expect(lab.register()).rejects.toThrow(
      /campaign autumn-terms was registered already, by ada at 2\d{3}-/,
    );
  });
});

describe('operators', () => {
  test('of two who approve at once one wins, and the other is told who it was', async () => {
    await lab.addCustomers(3);
    await lab.register();
    const { database } = lab.db;
    const results = await Promise.allSettled([
      approveCampaign(database, { ...ada, expectedCount: 3 }),
      approveCampaign(database, { ...grace, expectedCount: 3_000 }),
    ]);
    const refusals = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(refusals).toHaveLength(1);
    const { approvedBy } = await view();
    expect(refusals[0]).toMatchObject({ code: 'CAMPAIGN_STATE', state: 'freezing' });
    expect(refusals[0].message).toContain(`it was approved by ${approvedBy} at 2`);
    const { rows } = await database.query(
      "SELECT actor FROM throughline.operator_action WHERE action = 'campaign.approve'",
    );
    expect(rows).toEqual([{ actor: approvedBy }]);
  });

  test('start it once', async () => {
    await lab.addCustomers(3);
    await lab.approve();
    await lab.start();
    await expect(lab.start()).rejects.toThrow('campaign autumn-terms is freezing: it was started already');
  });

  test('do nothing to a campaign that was cancelled', async () => {
    await lab.addCustomers(3);
    const { database } = lab.db;
    await lab.register();
    await cancelCampaign(database, { ...ada, reason: 'a mistake' });
    expect(await view()).toMatchObject({
      state: 'cancelled',
      reason: 'a mistake',
      endedAt: expect.any(String),
    });
    for (const action of [
      () => resumeCampaign(database, ada),
      () => startCampaign(database, ada),
      () => pauseCampaign(database, { ...ada, reason: 'x' }),
      () => approveCampaign(database, { ...ada, expectedCount: 3 }),
      () => cancelCampaign(database, { ...grace, reason: 'x' }),
    ]) {
      await expect(action()).rejects.toThrow('campaign autumn-terms is cancelled: it was cancelled by ada');
    }
    await lab.runner();
    expect(await lab.ledgerRows()).toEqual([]);
  });

  test.each([
    ['\0', 'there is no campaign \0'],
    ['nobody', 'there is no campaign nobody'],
  ])('of a campaign %j that there is not are told so', async (campaignId, message) => {
    const unknown = resumeCampaign(lab.db.database, { campaignId, actor: 'ada' });
    await expect(unknown).rejects.toMatchObject({ code: 'CAMPAIGN_UNKNOWN', message });
  });

  test('give a name, and a reason where one is needed', async () => {
    await lab.register();
    await expect(
      cancelCampaign(lab.db.database, { campaignId: CAMPAIGN_ID, actor: ' ', reason: 'a\0' }),
    ).rejects.toMatchObject({
      code: 'CAMPAIGN_INPUT',
      issues: ['actor: expected the name of who does it', 'reason: expected at most 1000 characters of text'],
    });
  });

  test('cancel while its audience is frozen: no page comes after it, and all that were frozen are cancelled', async () => {
    await lab.addCustomers(30);
    const { database } = lab.db;
    const [everybody] = lab.segments;
    if (!everybody) throw new Error('there is a segment');
    let pages = 0;
    const cancelling = {
      ...everybody,
      async page(...args: Parameters<typeof everybody.page>) {
        pages += 1;
        if (pages === 2) await cancelCampaign(database, { ...ada, reason: 'a mistake' });
        return everybody.page(...args);
      },
    };
    await lab.approve();
    await lab.start();
    await Promise.all([lab.runner({ pageSize: 10, segments: [cancelling] }), lab.relay(), lab.worker()]);
    expect(await ended()).toMatchObject({
      state: 'cancelled',
      frozen: 20,
      recipients: { cancelled: 20 },
      addsUp: true,
    });
    expect(pages).toBe(2);
    expect(lab.mail.calls).toEqual([]);
  });

  test('cancel what is paused: nothing is sent, and everybody is cancelled with the reason', async () => {
    await lab.addCustomers(5);
    await lab.approve();
    await pauseCampaign(lab.db.database, { ...ada, reason: 'wait' });
    const { campaign } = await cancelCampaign(lab.db.database, { ...grace, reason: 'a mistake' });
    expect(campaign.state).toBe('cancelled');
    await lab.everything();
    await ended();
    expect(lab.mail.calls).toEqual([]);
  });
});
