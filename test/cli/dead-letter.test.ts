import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startOtlpReceiver } from '../../console/otlp-receiver.ts';
import type { SpanRecord } from '../../testing/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { complaint, throughline } from './throughline.ts';

const [TRACE, SPAN] = ['a'.repeat(32), 'b'.repeat(16)];

describe('throughline dead-letter', () => {
  let db: TestDatabase;
  let env: Record<string, string>;
  beforeAll(async () => {
    db = await createTestDatabase();
    env = { DATABASE_URL: db.url };
  });
  beforeEach(async () => {
    await db.database.query(
      'TRUNCATE throughline.dead_letter, throughline.outbox, throughline.inbox, throughline.operator_action',
    );
  });
  afterAll(() => db.close());

  const store = (
    id: string,
    more: { data?: Buffer; reason?: string; type?: string | null; diedAt?: string } = {},
  ) =>
    db.database.query(
      `INSERT INTO throughline.dead_letter (id, job_id, job_type, order_key, topic, subscription, consumer, given_up_by, reason,
         error_type, attempts, data, attributes, traceparent, died_at)
       VALUES ($1, 'job-' || $1, $2, 'O-' || $1, 'jobs', 'jobs-worker', 'jobs-worker', 'worker', $3, 'AWAY', 3, $4, $5, $6, $7)`,
      [
        id,
        more.type === undefined ? 'note.keep.v1' : more.type,
        more.reason ?? 'AWAY: the partner is away',
        more.data ?? Buffer.from('{"text":"hello"}'),
        JSON.stringify({
          'ce-id': `job-${id}`,
          'ce-type': 'note.keep.v1',
          baggage: `order.event_id=O-${id}`,
          googX: '1',
        }),
        `00-${TRACE}-${SPAN}-01`,
        more.diedAt ?? '2026-01-31T12:00:00Z',
      ],
    );
  const states = async () => {
    const { rows } = await db.database.query('SELECT id, state FROM throughline.dead_letter ORDER BY id');
    return Object.fromEntries(rows.map(({ id, state }) => [id, state]));
  };
  const outbox = async () => {
    const { rows } = await db.database.query(
      'SELECT job_id, topic, data, attributes, carrier FROM throughline.outbox ORDER BY id',
    );
    return rows;
  };
  const audit = async () => {
    const { rows } = await db.database.query(
      'SELECT actor, action, target, reason FROM throughline.operator_action ORDER BY id',
    );
    return rows;
  };

  it('lists open letters, newest first, for people and for programs; filters and states choose', async () => {
    await store('a1', { diedAt: '2026-01-30T12:00:00Z' });
    await store('a2', { reason: 'a \u001b[31mred\u001b[0m\nreason' });
    await store('a3', { type: null });
    await db.database.query(`UPDATE throughline.dead_letter SET state = 'dropped' WHERE id = 'a3'`);
    const table = await throughline(['dead-letter', 'list'], env);
    expect([table.exitCode, table.stderr]).toEqual([0, '']);
    const rows = table.stdout
      .trimEnd()
      .split('\n')
      .map((row) => row.split(/ {2,}/));
    expect(rows).toEqual([
      ['LETTER', 'STATE', 'DIED', 'TYPE', 'ORDER', 'JOB', 'TRIES', 'REASON'],
      ['a2', 'open', '2026-01-31T12:00:00.000Z', 'note.keep.v1', 'O-a2', 'job-a2', '3', 'a red reason'],
      [
        'a1',
        'open',
        '2026-01-30T12:00:00.000Z',
        'note.keep.v1',
        'O-a1',
        'job-a1',
        '3',
        'AWAY: the partner is away',
      ],
    ]);
    const list = async (...args: string[]) => {
      const { stdout } = await throughline(['dead-letter', 'list', '--json', ...args], env);
      return (JSON.parse(stdout).deadLetters as { letterId: string }[]).map(({ letterId }) => letterId);
    };
    expect(await list('--state', 'open,dropped', '--until', '2026-01-31T00:00:00Z')).toEqual(['a1']);
    expect(await list('--reason-has', 'PARTNER', '--type', 'note.keep.v1', '--error', 'AWAY')).toEqual([
      'a1',
    ]);
    expect(await list('--order', 'O-a2')).toEqual(['a2']);
    expect(await list('--since', '1h')).toEqual([]);
    const one = await throughline(['dead-letter', 'list', '--json', '--job', 'job-a1'], env);
    expect(JSON.parse(one.stdout)).toEqual({
      deadLetters: [
        {
          ...{
            letterId: 'a1',
            state: 'open',
            jobId: 'job-a1',
            jobType: 'note.keep.v1',
            orderKey: 'O-a1',
            sagaId: null,
          },
          ...{
            topic: 'jobs',
            subscription: 'jobs-worker',
            givenUpBy: 'worker',
            errorType: 'AWAY',
            attempts: 3,
          },
          ...{
            reason: 'AWAY: the partner is away',
            payloadBytes: 16,
            publishedAt: null,
            traceId: TRACE,
            spanId: SPAN,
          },
          ...{ diedAt: '2026-01-30T12:00:00.000Z', keptAt: expect.any(String) },
          ...{ settledAt: null, settledBy: null, settledReason: null },
        },
      ],
    });
    const limited = await throughline(['dead-letter', 'list', '--limit', '1'], env);
    expect(limited.stderr).toBe('There may be more than these 1: see --limit.\n');
    const none = await throughline(['dead-letter', 'list', '--type', 'other.v1'], env);
    expect([none.exitCode, none.stdout]).toEqual([0, 'There are no such dead letters.\n']);
  });

  it('shows JSON indented, and bytes that are no text as bytes', async () => {
    await store('j1');
    const json = await throughline(['dead-letter', 'show', 'j1'], env);
    expect(json.stdout).toContain('16 bytes, JSON:\n  {\n    "text": "hello"\n  }\n');
    expect(json.stdout).toMatch(/^reason +AWAY: the partner is away$/m);
    expect(json.stdout).toMatch(/^ce-type +note\.keep\.v1$/m);
    expect(json.stdout).toContain('Next: throughline dead-letter redrive|drop j1');
    const poison = Buffer.from([0, 255, 65, 27, 91]);
    await store('p1', { data: poison });
    const bytes = await throughline(['dead-letter', 'show', 'p1'], env);
    expect(bytes.stdout).toContain('5 bytes, not text:\n  00000000  00 ff 41 1b 5b ');
    const document = JSON.parse((await throughline(['dead-letter', 'show', 'p1', '--json'], env)).stdout);
    expect(document).toMatchObject({
      payload: null,
      payloadText: null,
      payloadBase64: poison.toString('base64'),
    });
    const nobody = await throughline(['dead-letter', 'show', 'nobody'], env);
    expect([complaint(nobody), nobody.exitCode]).toEqual(['there is no dead letter nobody', 1]);
  });

  it('redrives one: outbox, state and audit; untraced, the new delivery goes on in the trace of the dead one', async () => {
    await store('r1');
    const args = ['dead-letter', 'redrive', 'r1', '--yes', '--actor', 'ada', '--reason', 'ticket 4711'];
    const { stdout, stderr, exitCode } = await throughline([...args, '--json'], env);
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toEqual({
      ...{
        letterId: 'r1',
        jobId: 'job-r1',
        jobType: 'note.keep.v1',
        orderKey: 'O-r1',
        sagaId: null,
        topic: 'jobs',
      },
      ...{ traceId: null, action: 'redrive', actor: 'ada', reason: 'ticket 4711' },
    });
    expect(await outbox()).toEqual([
      {
        job_id: 'job-r1',
        topic: 'jobs',
        data: '{"text":"hello"}',
        attributes: { 'ce-id': 'job-r1', 'ce-type': 'note.keep.v1' },
        carrier: { traceparent: `00-${TRACE}-${SPAN}-01`, baggage: 'order.event_id=O-r1' },
      },
    ]);
    expect(await states()).toEqual({ r1: 'redriven' });
    expect(await audit()).toEqual([
      { actor: 'ada', action: 'dead-letter.redrive', target: 'r1', reason: 'ticket 4711' },
    ]);
    const again = await throughline(args, env);
    expect(complaint(again)).toMatch(
      /^dead letter r1 \(job job-r1\): it was redriven already, by ada at \d{4}-/,
    );
    expect(again.exitCode).toBe(1);
  });

  it('traces a redrive where there is an endpoint, and links it to the dead delivery', async () => {
    await store('t1');
    const spans: SpanRecord[] = [];
    const receiver = await startOtlpReceiver({ onSpans: (some) => void spans.push(...some) });
    const traced = { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint };
    const { stdout } = await throughline(['dead-letter', 'redrive', 't1', '--yes'], traced);
    await receiver.close();
    const span = spans.find(({ name }) => name === 'redrive jobs');
    expect(stdout).toBe(
      `Dead letter t1 (job job-t1, note.keep.v1): redriven, to jobs.\nTrace ${span?.traceId}\n`,
    );
    expect(span?.attributes).toMatchObject({ 'order.event_id': 'O-t1', 'throughline.dead_letter.id': 't1' });
    expect(span?.links).toMatchObject([
      { traceId: TRACE, spanId: SPAN, attributes: { 'throughline.link.reason': 'dead-delivery' } },
    ]);
    expect(await outbox()).toMatchObject([
      { carrier: { traceparent: expect.stringContaining(`${span?.traceId}-${span?.spanId}`) } },
    ]);
  });

  it('redrives all of a filter at a rate, and says which were refused, with exit code 1', async () => {
    for (const id of ['b1', 'b2', 'b3']) await store(id);
    await store('other', { type: 'other.v1' });
    await db.database.query(
      `INSERT INTO throughline.inbox (consumer, job_id, job_type, state, reason) VALUES ('*', 'job-b2', '', 'cancelled', 'enough')`,
    );
    const args = ['--type', 'note.keep.v1', '--rate', '500', '--yes'];
    const { exitCode, stdout, stderr } = await throughline(['dead-letter', 'redrive', ...args], env);
    expect(stdout).toBe('2 letters were redriven.\n1 left as they are: JOB_CANCELLED\n');
    expect(stderr).toBe('dead letter b2 (job job-b2): the job was cancelled (enough)\n');
    expect(exitCode).toBe(1);
    expect(await states()).toEqual({ b1: 'redriven', b2: 'open', b3: 'redriven', other: 'open' });
    const rest = await throughline(
      ['dead-letter', 'drop', '--all', '--reason', 'tests', '--yes', '--json'],
      env,
    );
    expect(JSON.parse(rest.stdout)).toMatchObject({
      settled: 2,
      refused: {},
      isStopped: false,
      action: 'drop',
    });
    expect(rest.exitCode).toBe(0);
    expect(await states()).toEqual({ b1: 'redriven', b2: 'dropped', b3: 'redriven', other: 'dropped' });
  });

  it('drops one with its reason', async () => {
    await store('d1');
    const { stdout, exitCode } = await throughline(
      ['dead-letter', 'drop', 'd1', '--yes', '--reason', 'a test'],
      env,
    );
    expect([exitCode, stdout]).toEqual([0, 'Dead letter d1 (job job-d1, note.keep.v1): dropped.\n']);
    const shown = await throughline(['dead-letter', 'show', 'd1'], env);
    expect(shown.stdout).toMatch(/^dropped +\d{4}-.*, by \w+: a test$/m);
    expect(shown.stdout).not.toContain('Next:');
  });

  it.each([
    [['redrive'], "dead-letter redrive: give a letter's id, a filter, or --all"],
    [['redrive', 'x', '--all'], "dead-letter redrive: give a letter's id or a filter, not both"],
    [
      ['redrive', 'x'],
      'dead-letter redrive asks before it acts, and there is no terminal to ask on; say --yes',
    ],
    [['drop', 'x', '--yes'], "required option '--reason <text>' not specified"],
    [['drop', 'x', '--yes', '--reason', ' '], 'dead-letter drop: reason: expected why'],
    [
      ['redrive', '--all', '--rate', '0'],
      "option '--rate <n>' argument '0' is invalid. It must be a number above 0, at most 1000.",
    ],
    [
      ['list', '--since', 'yesterday'],
      "option '--since <time>' argument 'yesterday' is invalid. It must be a time like 2026-01-31T12:00:00Z, or an age like 90m, 24h or 7d.",
    ],
    [['list', '--state', 'lost'], expect.stringContaining('There is no state "lost".')],
  ])('refuses %j in one line, with exit code 2', async (args, line) => {
    const ended = await throughline(['dead-letter', ...args], env);
    expect(complaint(ended)).toEqual(line);
    expect([ended.exitCode, ended.stdout]).toEqual([2, '']);
  });
});
