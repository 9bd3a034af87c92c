import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type CampaignView, watchCampaign } from '../../publisher/campaign/index.ts';
import { type Database, openDatabase } from '../../shared/storage/database.ts';
import { cleanEnvironment, type Ended, exitOf, ROOT } from '../support/child-process.ts';
import { type Shop, startShop } from '../support/shop.ts';
import { complaint, throughline, throughlineOnTerminal } from './throughline.ts';

const CUSTOMERS = 40;
const ADA = ['--actor', 'ada'];
const WHY = ['--reason', 'ticket 4711'];

/** A shop with customers and a worker, whose operator has nothing but the command line. */
describe('throughline campaign', () => {
  let shop: Shop;
  let database: Database;
  let env: Record<string, string>;
  let worker: Awaited<ReturnType<Shop['startWorker']>>;
  beforeAll(async () => {
    shop = await startShop();
    env = { DATABASE_URL: shop.databaseUrl };
    database = openDatabase({ connectionString: shop.databaseUrl, maxConnections: 2 });
    await database.query(
      `INSERT INTO shop.customer (email, first_name, push_token)
       SELECT 'c' || n || '@example.com', 'Ann ' || n, CASE WHEN n <= 10 THEN 'token-of-telephone-' || n END
       FROM generate_series(1, $1) n`,
      [CUSTOMERS],
    );
    worker = await shop.startWorker({ THROUGHLINE_RELAY: 'embedded' });
  }, 60_000);
  afterAll(async () => {
    await database.close();
    await shop.close();
  });

  const run = (line: string, more: readonly string[] = [], input?: string) =>
    throughline(['campaign', ...line.split(' '), ...more], env, {
      timeoutMs: 60_000,
      ...(input !== undefined && { input }),
    });
  const said = async (line: string, more: readonly string[] = [], input?: string) => {
    const { exitCode, stdout, stderr } = await run(line, more, input);
    expect([line, exitCode, stderr]).toEqual([line, 0, '']);
    return stdout;
  };
  const json = async (line: string, more: readonly string[] = []) =>
    JSON.parse(await said(line, [...more, '--json']));

  const definition = (id: string, change: object = {}) => ({
    ...{ id, channel: 'email', category: 'terms', segments: ['customers'], perSecond: 500 },
    template: { subject: 'New terms, {{firstName}}', body: 'Dear {{firstName}},\n\nthey are new.' },
    ...change,
  });
  const create = (id: string, change: object = {}) =>
    said('create --file -', ADA, JSON.stringify(definition(id, change)));
  const started = async (id: string, change: object, expected = CUSTOMERS) => {
    await create(id, change);
    await said(`approve ${id} --expect ${expected} --yes`, ADA);
    await said(`start ${id} --yes`, ADA);
  };
  const until = async (campaignId: string, isSo: (view: CampaignView) => boolean): Promise<CampaignView> => {
    const signal = AbortSignal.timeout(25_000);
    for await (const view of watchCampaign(database, { campaignId, everyMs: 20, signal }))
      if (isSo(view)) return view;
    throw new Error(`campaign ${campaignId} did not become as wanted`);
  };
  const mails = (id: string) => shop.sandbox.effects(id).map(({ subject }) => subject);

  it('takes a campaign from a file to its end', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'throughline-campaign-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const file = join(folder, 'campaign.json');
    await writeFile(file, JSON.stringify(definition('life')));
    const bounced = ['--channel', 'email', '--address', 'C7@Example.com', '--reason', 'bounced'];
    const suppressed = await throughline(['suppression', 'add', ...bounced], env);
    expect(suppressed.stdout).toBe('From now on nothing of any category is sent to this address.\n');

    expect(await said('create', ['--file', file, ...ADA])).toBe(
      'Campaign life is registered as a draft; nothing is sent.\nNext: throughline campaign preview life\n',
    );
    const preview = await said('preview life');
    expect(preview).toContain(
      'SEGMENT            RECIPIENTS\ncustomers          40\neach counted once  40\n',
    );
    expect(preview).toContain(
      '── 1 <c1@example.com>\n   New terms, Ann 1\n\n   Dear Ann 1,\n\n   they are new.\n',
    );
    expect(preview.match(/^── /gm)).toHaveLength(10);
    expect(preview).toContain('Next: throughline campaign approve life --expect 40\n');
    expect(await said('approve life --expect 40 --yes', ADA)).toMatch(
      /^Campaign life is approved: 40 ± 1 % recipients are expected, and their addresses are being frozen\./,
    );
    await until('life', ({ state }) => state === 'frozen');
    expect(mails('life')).toEqual([]);
    expect(await said('start life --yes', ADA)).toMatch(
      /^Campaign life is started: it is sent from now on\./,
    );

    const watched = (await said('watch life --every 0.1')).trimEnd().split('\n');
    expect(watched.at(-1)).toMatch(
      /^\d{4}-.*Z {2}finished {2}100\.0 % {2}40 recipients: 39 sent, 0 pending \(0 queued, 0 sending\), 1 suppressed$/,
    );
    expect(new Set(watched).size).toBe(watched.length);
    expect(new Set(mails('life')).size).toBe(39);
    expect(mails('life')).toHaveLength(39);
    expect(mails('life')).not.toContain('c7@example.com');

    const status = await said('status life');
    expect(status).toMatch(/^state {6}finished$/m);
    expect(status).toMatch(/^expected {3}40 ± 1 %, approved by ada$/m);
    expect(status).toMatch(/\nPENDING .*UNCERTAIN\n0 +0 +0 +39 +1 +0 +0 +0\n$/);
    expect(await json('list --limit 1')).toEqual({
      campaigns: [
        expect.objectContaining({ campaignId: 'life', state: 'finished', frozen: 40, addsUp: true }),
      ],
    });
    const { rows } = await database.query(
      "SELECT action, actor, via FROM throughline.operator_action WHERE target = 'life' AND actor = 'ada' ORDER BY id",
    );
    const acts = ['create', 'approve', 'start'].map((act) => `campaign.${act}`);
    expect(rows).toEqual(acts.map((action) => ({ action, actor: 'ada', via: 'cli' })));
    const removed = ['suppression', 'remove', ...bounced];
    const ended = await throughline(removed, env);
    expect([ended.exitCode, ended.stderr]).toEqual([0, '']);
    const again = await throughline(removed, env);
    expect([again.exitCode, complaint(again)]).toEqual([1, expect.stringMatching(/^nothing was suppressed/)]);
  }, 120_000);

  it('pauses, says why, and goes on where it was', async () => {
    await started('paused', { perSecond: 4 });
    await until('paused', ({ recipients }) => recipients.sent >= 3);
    const paused = await json('pause paused', [...ADA, ...WHY]);
    expect(paused).toMatchObject({ action: 'pause', actor: 'ada', state: 'paused', reason: 'ticket 4711' });
    await until('paused', ({ underWay }) => underWay.sending === 0);
    const sent = mails('paused').length;
    expect(await said('status paused')).toMatch(/^reason {5}ticket 4711$/m);
    expect(mails('paused')).toHaveLength(sent);
    expect(sent).toBeLessThan(CUSTOMERS);
    const again = await run('pause paused', [...ADA, ...WHY]);
    expect([again.exitCode, complaint(again)]).toEqual([
      1,
      'campaign paused is paused: expected freezing or frozen or running to pause it',
    ]);
    expect(await said('resume paused --yes', [...ADA, ...WHY])).toMatch(
      /^Campaign paused goes on: it is running\.\n/,
    );
    await said('watch paused');
    expect(mails('paused')).toHaveLength(CUSTOMERS);
    expect(new Set(mails('paused')).size).toBe(CUSTOMERS);
    const { rows } = await database.query(
      "SELECT reason FROM throughline.operator_action WHERE target = 'paused' AND action = 'campaign.resume'",
    );
    expect(rows).toEqual([{ reason: 'ticket 4711' }]);
  }, 120_000);

  it('cancels in the middle: nobody is sent to after it has returned', async () => {
    shop.sandbox.faults.add({ orderKey: 'cancelled', kind: 'latency', latencyMs: 300 });
    onTestFinished(() => shop.sandbox.faults.clear());
    await started('cancelled', { perSecond: 4 });
    await until('cancelled', ({ recipients }) => recipients.sent >= 2);
    const cancelled = await json('cancel cancelled --yes', [...ADA, ...WHY]);
    const sent = mails('cancelled').length;
    expect(cancelled).toMatchObject({
      ...{ action: 'cancel', actor: 'ada', campaignId: 'cancelled', state: 'cancelled' },
      ...{ stillInside: 0, silentAfterMs: expect.any(Number), reason: 'ticket 4711' },
      recipients: { sent },
    });
    const watched = await run('watch cancelled --json');
    expect(watched.exitCode).toBe(3);
    const last = JSON.parse(watched.stdout.trimEnd().split('\n').at(-1) ?? '');
    const left = { sent, cancelled: CUSTOMERS - sent, pending: 0, failed: 0, uncertain: 0, suppressed: 0 };
    expect(last).toMatchObject({ endedAt: expect.any(String), addsUp: true, recipients: left });
    expect(mails('cancelled')).toHaveLength(sent);
    const status = await run('status cancelled');
    expect(status.exitCode).toBe(3);
    const resumed = await run('resume cancelled --yes', ADA);
    expect(complaint(resumed)).toBe('campaign cancelled is cancelled: it was cancelled by ada: ticket 4711');
    expect(resumed.exitCode).toBe(1);
  }, 120_000);

  it("says with exit code 3 that somebody may still be inside a partner's call", async () => {
    shop.sandbox.faults.add({ orderKey: 'inside', kind: 'latency', latencyMs: 4_000 });
    onTestFinished(() => shop.sandbox.faults.clear());
    await started('inside', { channel: 'push', segments: ['app-users'] }, 10);
    await until('inside', ({ underWay }) => underWay.sending === 10);
    await worker.kill(); // nobody says any more what came of them
    const ended = await run('cancel inside --yes --silence-within 0', [...ADA, ...WHY]);
    worker = await shop.startWorker({ THROUGHLINE_RELAY: 'embedded' });
    expect(ended.stdout).toMatch(
      /is cancelled for good, nobody is begun with any more; 10 may still be inside a partner's call/,
    );
    expect(ended.exitCode).toBe(3);
  }, 120_000);

  it('halts when there are more than meant, and goes on once the right count is approved', async () => {
    await create('halted', {});
    await said('approve halted --expect 30 --tolerance 0.1 --yes', ADA);
    const watched = await run('watch halted');
    expect(watched.exitCode).toBe(3);
    const why = '40 recipients were frozen, and 30 ± 10 % were expected';
    expect(watched.stdout.trimEnd().split('\n').at(-1)).toContain(why);
    const status = await run('status halted');
    expect([status.exitCode, status.stdout]).toEqual([3, expect.stringContaining(`reason     ${why}\n`)]);
    const resumed = await run('resume halted --yes', ADA);
    expect(complaint(resumed)).toMatch(
      /40 recipients were frozen, and that is too many for 30 expected; approve it with the count/,
    );
    expect(mails('halted')).toEqual([]);
    await said('approve halted --expect 40 --yes', [...ADA, ...WHY]);
    await said('start halted --yes', ADA);
    await said('watch halted');
    expect(mails('halted')).toHaveLength(CUSTOMERS);
  }, 120_000);

  it('asks before it approves, starts, resumes and cancels, with what there is to know', async () => {
    const typed = async (line: string, answer: string, more: readonly string[] = []): Promise<Ended> =>
      throughlineOnTerminal(['campaign', ...line.split(' '), ...ADA, ...more], env, `${answer}\n`);
    await create('asked', { channel: 'push', segments: ['app-users'] });
    const wrong = await typed('approve asked --expect 12', 'n');
    expect(wrong.stderr).toContain(
      `Campaign asked: There are 10 recipients now (app-users: 10).\nExpect 12 ± 1 %. They differ by more than that: it would halt. Freeze them? [y/N] `,
    );
    expect([wrong.exitCode, wrong.stderr]).toEqual([
      1,
      expect.stringContaining('throughline: nothing was done'),
    ]);
    const right = await typed('approve asked --expect 10', 'y');
    expect(right.stderr).toContain('\nExpect 10 ± 1 %. Freeze them? [y/N] ');
    expect(right.exitCode).toBe(0);
    await until('asked', ({ state }) => state === 'frozen');
    const start = await typed('start asked', 'no');
    expect(start.stderr).toContain(
      'Campaign asked: send to 10 recipients by push, now, at 500 a second (about 1 s)? [y/N] ',
    );
    const cancel = await typed('cancel asked', '', WHY);
    expect(cancel.stderr).toContain(
      'Campaign asked is frozen: 0 recipients were sent to, 10 are pending.\nEnd it for good?',
    );
    expect([start.exitCode, cancel.exitCode]).toEqual([1, 1]);
    await json('pause asked', [...ADA, ...WHY]);
    const resume = await typed('resume asked', 'y');
    expect(resume.stderr).toContain('Campaign asked is paused: ticket 4711\n0 recipients were sent to.');
    expect((await until('asked', () => true)).state).toBe('frozen');
    await said('start asked --yes', ADA);
    const watching = ['campaign', 'watch', 'asked', '--every', '0.1'];
    const watched = await throughlineOnTerminal(watching, env, '');
    expect(watched.exitCode).toBe(0);
    const lines = watched.stdout.split('\n');
    expect(lines.at(-3)).toMatch(/█+ {2}asked {2}finished {2}100\.0 %$/);
    expect(lines.at(-2)).toBe('10 recipients: 10 sent, 0 pending (0 queued, 0 sending)');
  }, 120_000);

  it('leaves the campaign alone when the watching is interrupted', async () => {
    await started('followed', { perSecond: 4 });
    const args = ['cli/main.ts', 'campaign', 'watch', 'followed', '--every', '0.05'];
    const stdio = ['ignore', 'pipe', 'inherit'] as const;
    const watching = spawn(process.execPath, args, {
      cwd: ROOT,
      env: cleanEnvironment(env),
      stdio: [...stdio],
    });
    onTestFinished(() => void watching.kill('SIGKILL'));
    await once(watching.stdout, 'data');
    watching.kill('SIGINT');
    expect(await exitOf(watching)).toBe(1);
    await until('followed', ({ state, recipients }) => state === 'running' && recipients.sent >= 2);
    await said('cancel followed --yes', [...ADA, ...WHY]);
  }, 120_000);

  it('takes the definition that the documentation shows', async () => {
    const docs = await readFile(join(ROOT, 'docs/campaigns.md'), 'utf8');
    const [, shown = ''] = /```json\n([\s\S]*?)```/.exec(docs) ?? [];
    expect(await said('create --file -', ADA, shown)).toContain('Campaign autumn-terms is registered');
    expect((await json('status autumn-terms')).definition).toEqual(JSON.parse(shown));
  }, 60_000);

  it.each([
    ['{\n  "id": "wrong",\n}', 'standard input: line 3, column 1: expected a name in double quotes'],
    ['', 'standard input: expected JSON, and there is nothing'],
    ['[]', 'campaign: definition: Invalid input: expected object, received array'],
    [
      { perSecond: 0, id: 'Not A Slug' },
      /^campaign: id: expected lower-case words joined by dashes.*; perSecond: .*>=0\.01$/,
    ],
    [
      { segments: ['nobody', 'customers'] },
      'campaign: segments: there is no nobody; there are customers, workspace-owners, app-users',
    ],
    [{ channel: 'fax' }, 'campaign: channel: there is no fax; there are email, push'],
    [
      { template: { subject: 'Dear {{firstNmae}}', body: 'x {{' } },
      /^campaign: template\.subject: \{\{firstNmae\}\} is no field of the audience; the audience has email, firstName, since, unsubscribeUrl; template\.body: expected every "\{\{" to have its "\}\}"/,
    ],
    [{ startsAt: 'tomorrow' }, /^campaign: startsAt: /],
    [
      { quietHours: { from: '22:00', to: '8', timeZone: 'CET' } },
      /^campaign: quietHours\.to: .*; quietHours\.timeZone: /,
    ],
    [{ persecond: 3 }, 'campaign: definition: Unrecognized key: "persecond"'],
  ])('refuses the definition %j in one line', async (change, line) => {
    const given = typeof change === 'string' ? change : JSON.stringify(definition('wrong', change));
    const ended = await run('create --file -', ADA, given);
    expect(complaint(ended)).toEqual(typeof line === 'string' ? line : expect.stringMatching(line));
    expect(ended.exitCode).toBe(2);
  });

  it('refuses in one line what is not there, is there twice, or is asked for in the wrong way', async () => {
    await create('twice');
    const cases: [string, string[], number, unknown][] = [
      ['status nowhere', [], 1, 'there is no campaign nowhere'],
      ['watch nowhere', [], 1, 'there is no campaign nowhere'],
      ['preview nowhere', [], 1, 'there is no campaign nowhere'],
      ['start twice', ['--yes'], 1, 'campaign twice is draft: expected freezing or frozen to start it'],
      ['cancel twice --yes', ['--reason', ' '], 2, 'campaign cancel: reason: expected why'],
      ['pause twice', [], 2, "required option '--reason <text>' not specified"],
      ['approve twice --expect 1.5', ['--yes'], 2, expect.stringContaining('It must be a number from 1 to')],
      ['approve twice --expect 5 --tolerance 2', ['--yes'], 2, expect.stringContaining('from 0 to 1')],
      ['create --file /nowhere.json', [], 2, '/nowhere.json: there is no such file'],
      [
        'create --file - --catalogue /nowhere.ts',
        [],
        2,
        expect.stringMatching(/^--catalogue: \/nowhere\.ts cannot be loaded: /),
      ],
      ...([['approve', '--expect', '40'], ['start'], ['resume'], ['cancel', '--reason', 'why']] as const).map(
        ([name, ...more]): [string, string[], number, unknown] => [
          `${name} twice`,
          [...more],
          2,
          `campaign ${name} asks before it acts, and there is no terminal to ask on; say --yes`,
        ],
      ),
    ];
    const second = await run('create --file -', ADA, JSON.stringify(definition('twice')));
    expect(complaint(second)).toMatch(/^campaign twice was registered already, by ada at \d{4}-/);
    expect(second.exitCode).toBe(1);
    for (const [line, more, code, words] of cases) {
      const ended = await run(line, more, line.startsWith('create') ? '{}' : undefined);
      expect(complaint(ended)).toEqual(words);
      expect([line, ended.exitCode]).toEqual([line, code]);
    }
    expect(await json('status twice')).toMatchObject({ state: 'draft', approvedBy: null, frozen: 0 });
    const address = ['--channel', 'email', '--address', 'nobody', '--reason', 'why'];
    const suppressed = await throughline(['suppression', 'add', ...address], env);
    expect(complaint(suppressed)).toContain('address: expected an address of channel email');
    expect(suppressed.exitCode).toBe(2);
  }, 120_000);

  it("takes the segments and channels of somebody's own service", async () => {
    const folder = await mkdtemp(join(tmpdir(), 'throughline-catalogue-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const own = join(folder, 'catalogue.ts');
    const segment = join(ROOT, 'publisher/campaign/segment.ts');
    await writeFile(
      own,
      `import { defineSegment } from ${JSON.stringify(segment)};
       const sql: string = "SELECT 'k' || n AS key, '+49' || n AS address FROM generate_series(1, 3) n";
       export default {
         segments: [defineSegment({ name: 'everybody', description: 'three', sql, fields: [] })],
         channels: [{ name: 'sms', addressKey: (address: string) => address }],
       };`,
    );
    const change = { channel: 'sms', segments: ['everybody'], template: { body: 'Hello.' } };
    await said('create --file -', ['--catalogue', own], JSON.stringify(definition('own', change)));
    const preview = await json('preview own', ['--catalogue', own]);
    expect(preview).toMatchObject({ audience: 3, segments: [{ name: 'everybody', count: 3 }] });
    expect(preview.samples[0]).toEqual({ recipientId: 'k1', address: '+491', subject: '', body: 'Hello.' });
    const foreign = await run('preview own');
    expect([foreign.exitCode, complaint(foreign)]).toEqual([
      2,
      'campaign: segments: there is no everybody any more; channel: there is no sms any more',
    ]);
  }, 60_000);
});
