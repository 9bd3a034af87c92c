import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startOtlpReceiver } from '../../console/otlp-receiver.ts';
import type { SpanRecord } from '../../testing/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { complaint, throughline } from './throughline.ts';

describe('throughline fence', () => {
  let db: TestDatabase;
  let env: Record<string, string>;
  beforeAll(async () => {
    db = await createTestDatabase();
    env = { DATABASE_URL: db.url };
  });
  afterAll(() => db.close());

  const run = (line: string, more: readonly string[] = []) =>
    throughline(['fence', ...line.split(' '), ...more], env);
  const ADA = ['--actor', 'ada', '--reason', 'ticket 4711'];
  const json = async (line: string, more: readonly string[] = []) => {
    const { exitCode, stdout, stderr } = await run(line, [...more, '--json']);
    expect([exitCode, stderr]).toEqual([0, '']);
    return JSON.parse(stdout);
  };

  it('adds, lists and lifts, for people', async () => {
    const none = await run('list');
    expect([none.exitCode, none.stdout]).toEqual([0, 'No fence stands.\n']);
    const added = await run('add pause --job mail.send', ADA);
    expect([added.exitCode, added.stderr]).toEqual([0, '']);
    const [, id = ''] =
      /^Fence (\d+) stands: pause job=mail\.send; they wait until it is lifted\.\n$/.exec(added.stdout) ?? [];
    const [heading = '', row = '', ...more] = (await run('list')).stdout.trimEnd().split('\n');
    expect(heading).toMatch(/^FENCE +ACTION +JOB +CAMPAIGN +ORDER +ADDED +BY +REASON$/);
    expect(row.split(/ {2,}/)).toEqual([
      ...[id, 'pause', 'mail.send', '-', '-', expect.stringMatching(/^\d{4}-.*Z$/), 'ada', 'ticket 4711'],
    ]);
    expect(more).toEqual([]);
    const lifted = await run(`lift ${id} --yes`, ADA);
    expect(lifted.stdout).toBe(`Fence ${id} is lifted (pause job=mail.send): what waited runs.\n`);
    expect((await run('list')).stdout).toBe('No fence stands.\n');
    expect((await run('list --all')).stdout).toMatch(/^FENCE .* LIFTED +BY +REASON\n.* ada +ticket 4711\n$/);
  });

  it('adds, lists and lifts, for programs', async () => {
    const fence = {
      fenceId: expect.stringMatching(/^\d+$/),
      action: 'cancel',
      job: null,
      campaign: 'autumn',
      orderKey: 'O-1',
      actor: 'ada',
      reason: 'ticket 4711',
      addedAt: expect.stringMatching(/Z$/),
      liftedAt: null,
      liftedBy: null,
      liftReason: null,
      traceId: null,
    };
    const added = await json('add cancel --campaign autumn --order O-1 --yes', ADA);
    expect(added).toEqual(fence);
    expect(await json('list')).toEqual({ fences: [added] });
    const lifted = await json(`lift ${added.fenceId} --yes --actor grace --reason ok`);
    const lift = { liftedAt: expect.any(String), liftedBy: 'grace', liftReason: 'ok' };
    expect(lifted).toEqual({ ...added, ...lift });
    expect(await json('list')).toEqual({ fences: [] });
    expect((await json('list --all --limit 1')).fences).toEqual([lifted]);
  });

  it('writes an audit row for each', async () => {
    const { fenceId } = await json('add pause --order O-audit', ADA);
    await json(`lift ${fenceId} --yes`, ADA);
    const { rows } = await db.database.query(
      'SELECT actor, action, reason, details FROM throughline.operator_action WHERE target = $1 ORDER BY id',
      [`fence ${fenceId}`],
    );
    const details = { action: 'pause', target: { orderKey: 'O-audit' } };
    expect(rows).toEqual([
      { actor: 'ada', action: 'fence.add', reason: 'ticket 4711', details },
      { actor: 'ada', action: 'fence.lift', reason: 'ticket 4711', details },
    ]);
  });

  it('refuses in one line what stands, what is lifted and what is not there', async () => {
    const { fenceId } = await json('add pause --campaign twice', ADA);
    const twice = await run('add pause --campaign twice', ADA);
    expect(complaint(twice)).toMatch(
      /^fence \d+ stands already: pause campaign=twice, by ada at .*: ticket 4711$/,
    );
    await json(`lift ${fenceId} --yes`, ADA);
    const again = await run(`lift ${fenceId} --yes`, ADA);
    expect(complaint(again)).toMatch(/^fence \d+ was lifted already, by ada at .*: ticket 4711$/);
    const unknown = await run('lift 999999 --yes', ADA);
    expect(complaint(unknown)).toBe('there is no fence 999999');
    const word = await run('lift mail.send --yes', ADA);
    expect(complaint(word)).toBe('there is no fence mail.send');
    expect([twice, again, unknown, word].map(({ exitCode }) => exitCode)).toEqual([1, 1, 1, 1]);
  });

  it('refuses wrong arguments with exit code 2, and does nothing', async () => {
    const cases: [string, string[], unknown][] = [
      ['add pause', ADA, 'fence add: target: expected a job, a campaign or an order key'],
      ['add pause --job mail.send.v1', ADA, expect.stringContaining('without its version, like "mail.send"')],
      ['add pause --job mail.send --reason', [' '], 'fence add: reason: expected why'],
      ['add pause --job mail.send', [], "required option '--reason <text>' not specified"],
      ['add stop --job mail.send', ADA, expect.stringContaining('Allowed choices are pause, cancel.')],
      [
        'add cancel --job mail.send',
        ADA,
        expect.stringContaining('there is no terminal to ask on; say --yes'),
      ],
      ['lift 1', ADA, expect.stringContaining('there is no terminal to ask on; say --yes')],
    ];
    const before = await json('list --all');
    for (const [line, more, said] of cases) {
      const ended = await run(line, more);
      expect(complaint(ended)).toEqual(said);
      expect(ended.exitCode).toBe(2);
    }
    expect(await json('list --all')).toEqual(before);
  });

  it('traces what it does, and links the lift to what added the fence', async () => {
    const spans: SpanRecord[] = [];
    const receiver = await startOtlpReceiver({ onSpans: (batch) => void spans.push(...batch) });
    try {
      const traced = { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint };
      const add = ['fence', 'add', 'pause', '--order', 'O-traced', ...ADA, '--json'];
      const { fenceId, traceId } = JSON.parse((await throughline(add, traced)).stdout);
      expect(traceId).toMatch(/^[0-9a-f]{32}$/);
      await throughline(['fence', 'lift', fenceId, '--yes', ...ADA], traced);
    } finally {
      await receiver.close();
    }
    const [added, lifted] = ['operate fence.add', 'operate fence.lift'].map((name) =>
      spans.find((span) => span.name === name),
    );
    expect(added?.attributes).toMatchObject({
      'order.event_id': 'O-traced',
      'throughline.fence.action': 'pause',
      'throughline.fence.target': 'order=O-traced',
      'throughline.fence.actor': 'ada',
      'throughline.fence.reason': 'ticket 4711',
      'throughline.fence.id': expect.any(String),
    });
    expect(lifted?.links.map(({ spanId }) => spanId)).toEqual([added?.spanId]);
  });
});
