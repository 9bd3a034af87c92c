import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { startOtlpReceiver } from '../../console/otlp-receiver.ts';
import type { Child } from '../../scripts/system/child.ts';
import type { SpanRecord } from '../../testing/index.ts';
import { type FaultyShop, startFaultyShop } from '../cli/faulty-shop.ts';
import { throughline } from '../cli/throughline.ts';
import { startTestTelemetry, type TestTelemetry } from '../fakes/telemetry.ts';
import { type AdminClient, createAdminClient, problemOf, startAdminProcess, TOKEN } from './admin-process.ts';

const TRACEPARENT = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
const ADA = { actor: 'ada', reason: 'ticket 4711' };

describe('what operators do over HTTP', { timeout: 120_000 }, () => {
  let shop: FaultyShop;
  let telemetry: TestTelemetry;
  let admin: Child<{ readonly url: string }>;
  let client: AdminClient;
  let env: Record<string, string>;
  beforeAll(async () => {
    telemetry = startTestTelemetry(); // so that sagas have spans to link to
    shop = await startFaultyShop();
    env = { DATABASE_URL: shop.db.url };
    admin = await startAdminProcess({ ...env, THROUGHLINE_ADMIN_TOKEN: TOKEN });
    client = await createAdminClient(admin.ready.url);
  });
  beforeEach(async () => {
    shop.faults.clear();
    shop.faults.add('create-contract');
    await shop.db.database.query(
      'TRUNCATE throughline.dead_letter, throughline.outbox, throughline.inbox, throughline.operator_action',
    );
  });
  afterAll(async () => {
    await admin.stop();
    await shop.close();
    await telemetry.stop();
  });

  const audit = async () => {
    const { rows } = await shop.db.database.query(
      'SELECT actor, via, action, target, reason FROM throughline.operator_action ORDER BY id',
    );
    return rows;
  };
  const bury = (id: string, type = 'note.keep.v1') =>
    shop.db.database.query(
      `INSERT INTO throughline.dead_letter (id, job_id, job_type, order_key, topic, consumer, given_up_by, reason, attempts, data,
         attributes, traceparent, died_at)
       VALUES ($1, 'job/' || $1, $2, 'O-' || $1, 'jobs', 'jobs-worker', 'worker', 'AWAY', 3, '{"text":"hello"}',
         json_build_object('ce-id', 'job/' || $1, 'ce-type', $2::text), $3, now())`,
      [id, type, TRACEPARENT],
    );
  const letterStates = async () => {
    const { rows } = await shop.db.database.query(
      'SELECT id, state FROM throughline.dead_letter ORDER BY id',
    );
    return Object.fromEntries(rows.map(({ id, state }) => [id, state]));
  };

  it('tells sagas as the command line does, and retries a stuck one with an audit row that says by which way', async () => {
    const sagaId = await shop.beginStuck('O-http-retry');
    const listed = await client.get('/admin/sagas?state=stuck&order=O-http-retry');
    const told = await throughline(['saga', 'list', '--order', 'O-http-retry', '--json'], env);
    expect(listed.body).toEqual({ ...JSON.parse(told.stdout), next: null });
    const shown = await client.get(`/admin/sagas/${sagaId}`);
    expect(shown.body).toEqual(
      JSON.parse((await throughline(['saga', 'show', sagaId, '--json'], env)).stdout),
    );

    shop.faults.clear();
    const retried = await client.post(`/admin/sagas/${sagaId}/retry`, { actor: 'ada' });
    expect([retried.status, retried.body]).toEqual([
      200,
      {
        ...{ sagaId, action: 'retry', orderKey: 'O-http-retry', step: 'create-contract', traceId: null },
        ...{ actor: 'ada', reason: null },
      },
    ]);
    await shop.inState(sagaId, 'compensated');
    expect(await audit()).toEqual([
      { actor: 'ada', via: 'http', action: 'saga.retry', target: sagaId, reason: null },
    ]);
    const again = await client.post(`/admin/sagas/${sagaId}/retry`, { actor: 'ada' });
    expect([again.status, problemOf(again).type]).toEqual([409, 'urn:throughline:problem:saga-not-stuck']);
    const nobody = await client.post('/admin/sagas/nobody/retry', { actor: 'ada' });
    expect([nobody.status, problemOf(nobody).type]).toEqual([404, 'urn:throughline:problem:saga-unknown']);
    expect((await client.get('/admin/sagas/nobody')).status).toBe(404);
  });

  it('skips and resolves only with a reason', async () => {
    const [skipped, resolved] = [
      await shop.beginStuck('O-http-skip'),
      await shop.beginStuck('O-http-resolve'),
    ];
    const bare = await client.post(`/admin/sagas/${skipped}/skip`, { actor: 'ada' });
    expect([bare.status, problemOf(bare).errors?.map(({ field }) => field)]).toEqual([422, ['reason']]);
    await client.post(`/admin/sagas/${skipped}/skip`, ADA);
    await client.post(`/admin/sagas/${resolved}/resolve`, ADA);
    await Promise.all([shop.inState(skipped, 'compensated'), shop.inState(resolved, 'resolved')]);
    expect(await audit()).toMatchObject([{ action: 'saga.skip' }, { action: 'saga.resolve' }]);
  });

  it('does what one of two operators at once wants, whichever way they come', async () => {
    const sagaId = await shop.beginStuck('O-http-race');
    await shop.stop();
    const [over, atTerminal] = await Promise.all([
      client.post(`/admin/sagas/${sagaId}/resolve`, ADA),
      throughline(['saga', 'skip', sagaId, '--yes', '--actor', 'grace', '--reason', 'by hand'], env),
    ]);
    const second = await client.post(`/admin/sagas/${sagaId}/retry`, { actor: 'alan' });
    await shop.restart();
    expect(problemOf(second).title).toMatch(/^(ada|grace) has told saga .* to (resolve|skip) already/);
    const succeeded = [over.status === 200, atTerminal.exitCode === 0];
    expect(succeeded.filter(Boolean)).toHaveLength(1);
    expect(await audit()).toMatchObject([over.status === 200 ? { via: 'http' } : { via: 'cli' }]);

    const fence = { action: 'pause', job: 'mail.race', ...ADA };
    const twice = await Promise.all([
      client.post('/admin/fences', fence),
      client.post('/admin/fences', fence),
    ]);
    expect(twice.map(({ status }) => status).sort()).toEqual([200, 409]);
    await bury('race');
    const redrives = await Promise.all(
      [1, 2].map(() => client.post('/admin/dead-letters/race/redrive', { actor: 'ada' })),
    );
    expect(redrives.map(({ status }) => status).sort()).toEqual([200, 409]);
    const { rows } = await shop.db.database.query('SELECT job_id FROM throughline.outbox');
    expect(rows).toEqual([{ job_id: 'job/race' }]);
  });

  it('adds, lists and lifts fences', async () => {
    const added = await client.post('/admin/fences', { action: 'cancel', orderKey: 'O-1', ...ADA });
    const { fenceId } = added.body as { fenceId: string };
    expect(added.body).toMatchObject({
      action: 'cancel',
      orderKey: 'O-1',
      job: null,
      liftedAt: null,
      ...ADA,
    });
    const standing = await client.get('/admin/fences');
    expect((standing.body as { fences: object[] }).fences).toContainEqual(added.body);
    const lifted = await client.post(`/admin/fences/${fenceId}/lift`, { actor: 'grace', reason: 'over' });
    expect(lifted.body).toMatchObject({ fenceId, liftedBy: 'grace', liftReason: 'over' });
    expect((await client.post(`/admin/fences/${fenceId}/lift`, ADA)).status).toBe(409);
    expect((await client.post('/admin/fences/999999/lift', ADA)).status).toBe(404);
    const all = await client.get('/admin/fences?all=true&limit=1');
    expect(all.body).toEqual({ fences: [lifted.body] });
    const nothing = await client.post('/admin/fences', { action: 'pause', ...ADA });
    expect([nothing.status, problemOf(nothing).title]).toEqual([
      422,
      'fence add: target: expected a job, a campaign or an order key',
    ]);
    expect(await audit()).toMatchObject([
      { actor: 'ada', via: 'http', action: 'fence.add', target: `fence ${fenceId}` },
      { actor: 'grace', via: 'http', action: 'fence.lift', target: `fence ${fenceId}` },
    ]);
  });

  it('lists, shows, redrives and drops dead letters, page by page and one by one', async () => {
    for (const id of ['l1', 'l2', 'l3']) await bury(id);
    const first = (await client.get('/admin/dead-letters?limit=2')).body as {
      deadLetters: { letterId: string }[];
      next: string;
    };
    const rest = (await client.get(`/admin/dead-letters?limit=2&after=${first.next}`)).body as typeof first;
    expect([...first.deadLetters, ...rest.deadLetters].map(({ letterId }) => letterId)).toEqual([
      'l3',
      'l2',
      'l1',
    ]);
    expect(rest.next).toBeNull();
    const shown = await client.get('/admin/dead-letters/l1');
    const told = await throughline(['dead-letter', 'show', 'l1', '--json'], env);
    expect(shown.body).toEqual(JSON.parse(told.stdout));
    expect(shown.body).toMatchObject({ payload: { text: 'hello' } });

    const redriven = await client.post('/admin/dead-letters/l1/redrive', { actor: 'ada' });
    expect(redriven.body).toMatchObject({ letterId: 'l1', jobId: 'job/l1', action: 'redrive', reason: null });
    expect((await client.post('/admin/dead-letters/l2/drop', { actor: 'ada' })).status).toBe(422);
    await client.post('/admin/dead-letters/l2/drop', ADA);
    expect((await client.post('/admin/dead-letters/l2/redrive', { actor: 'ada' })).status).toBe(409);
    expect((await client.post('/admin/dead-letters/nobody/redrive', { actor: 'ada' })).status).toBe(404);
    expect((await client.get('/admin/dead-letters/nobody')).status).toBe(404);
    expect(await letterStates()).toEqual({ l1: 'redriven', l2: 'dropped', l3: 'open' });
    expect(await audit()).toMatchObject([
      { via: 'http', action: 'dead-letter.redrive', target: 'l1' },
      { via: 'http', action: 'dead-letter.drop', target: 'l2', reason: 'ticket 4711' },
    ]);
  });

  it('redrives and drops in bulk, at most so many, and only when it is clear which', async () => {
    for (const id of ['b1', 'b2', 'b3']) await bury(id);
    await bury('other', 'other.v1');
    for (const body of [{}, { filter: {} }, { all: true, filter: { type: 'note.keep.v1' } }, { all: false }])
      expect((await client.post('/admin/dead-letters/redrive', { actor: 'ada', ...body })).status).toBe(422);
    const some = await client.post('/admin/dead-letters/redrive', {
      ...{ actor: 'ada', filter: { type: 'note.keep.v1' }, limit: 2, perSecond: 1_000 },
    });
    expect(some.body).toMatchObject({ settled: 2, refused: {}, isStopped: false, action: 'redrive' });
    expect(await letterStates()).toEqual({ b1: 'redriven', b2: 'redriven', b3: 'open', other: 'open' });
    const all = await client.post('/admin/dead-letters/drop', { ...ADA, all: true });
    expect(all.body).toMatchObject({ settled: 2, action: 'drop' });
    expect((await audit()).map(({ via }) => via)).toEqual(['http', 'http', 'http', 'http']);
  });

  it('stops a bulk redrive whose operator has hung up', async () => {
    for (let letter = 0; letter < 5; letter++) await bury(`h${letter}`);
    const stopped = Promise.withResolvers<SpanRecord>();
    const first = Promise.withResolvers<void>();
    const receiver = await startOtlpReceiver({
      onSpans(spans) {
        if (spans.some(({ name }) => name === 'redrive jobs')) first.resolve();
        const bulk = spans.find(({ name }) => name === 'operate dead-letter.redrive');
        if (bulk) stopped.resolve(bulk);
      },
    });
    onTestFinished(() => receiver.close());
    const traced = await startAdminProcess({
      ...{ ...env, THROUGHLINE_ADMIN_TOKEN: TOKEN, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint },
    });
    onTestFinished(() => traced.stop());
    const hangUp = new AbortController();
    const asked = fetch(`${traced.ready.url}/admin/dead-letters/redrive`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ actor: 'ada', all: true, perSecond: 0.01 }),
      signal: hangUp.signal,
    }).catch(() => 'hung up');
    await first.promise; // sent at once; the second would be after 100 s
    hangUp.abort();
    expect(await asked).toBe('hung up');
    expect((await stopped.promise).attributes).toMatchObject({ 'throughline.dead_letter.settled': 1 });
    expect(Object.values(await letterStates()).filter((state) => state === 'redriven')).toHaveLength(1);
  }, 60_000);

  it('lists and shows jobs, whose ids may hold slashes', async () => {
    await bury('j1');
    await client.post('/admin/dead-letters/j1/redrive', { actor: 'ada' });
    const listed = await client.get('/admin/jobs?state=waiting,scheduled&job=note.keep');
    const told = JSON.parse((await throughline(['job', 'list', '--json'], env)).stdout);
    const withoutAge = (page: unknown) =>
      JSON.parse(JSON.stringify(page).replace(/"ageMs":\d+/g, '"ageMs":0'));
    expect(withoutAge(listed.body)).toEqual(withoutAge(told));
    const shown = await client.get(`/admin/jobs/${encodeURIComponent('job/j1')}`);
    expect(shown.body).toMatchObject({
      jobId: 'job/j1',
      consumers: [{ state: 'waiting', letterId: 'j1' }],
      message: { from: 'outbox', payload: { text: 'hello' } },
      deadLetters: [{ letterId: 'j1', state: 'redriven', settledBy: 'ada' }],
    });
    expect((await client.get('/admin/jobs/nobody')).status).toBe(404);
    const cursor = await client.get('/admin/jobs?after=here');
    expect([cursor.status, problemOf(cursor).type]).toEqual([422, 'urn:throughline:problem:cursor-invalid']);
    expect((await client.get('/admin/jobs?since=yesterday')).status).toBe(422);
    expect((await client.get('/admin/jobs?state=lost')).status).toBe(422);
    expect((await client.get('/admin/jobs?limit=0')).status).toBe(422);
  });

  it('traces a request and what it does, linked to the saga and to the caller', async () => {
    const spans: SpanRecord[] = [];
    const receiver = await startOtlpReceiver({ onSpans: (some) => void spans.push(...some) });
    onTestFinished(() => receiver.close());
    const traced = await startAdminProcess({
      ...{ ...env, THROUGHLINE_ADMIN_TOKEN: TOKEN, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint },
    });
    const sagaId = await shop.beginStuck('O-http-traced');
    const response = await fetch(`${traced.ready.url}/admin/sagas/${sagaId}/retry`, {
      method: 'POST',
      headers: {
        ...{ authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', traceparent: TRACEPARENT },
      },
      body: JSON.stringify({ actor: 'ada' }),
    });
    const { traceId } = (await response.json()) as { traceId: string };
    await traced.stop(); // exports what is left
    const request = spans.find(({ name }) => name === 'POST /admin/sagas/{sagaId}/retry');
    const operate = spans.find(({ name }) => name === 'operate saga.retry');
    expect(request).toMatchObject({ traceId, attributes: { 'http.response.status_code': 200 } });
    expect(request?.links.map((link) => link.traceId)).toEqual(['a'.repeat(32)]);
    expect(operate).toMatchObject({ traceId, parentSpanId: request?.spanId });
    expect(operate?.links).toHaveLength(1);
    const { rows } = await shop.db.database.query('SELECT carrier FROM throughline.operator_action');
    expect(rows).toMatchObject([
      { carrier: { traceparent: expect.stringContaining(`${traceId}-${operate?.spanId}`) } },
    ]);
  });
});
