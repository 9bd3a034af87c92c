import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startOtlpReceiver } from '../../console/otlp-receiver.ts';
import type { SpanRecord } from '../../testing/index.ts';
import { startTestTelemetry, type TestTelemetry } from '../fakes/telemetry.ts';
import { type FaultyShop, startFaultyShop } from './faulty-shop.ts';
import { complaint, throughline } from './throughline.ts';

describe('throughline saga', () => {
  let shop: FaultyShop;
  let telemetry: TestTelemetry;
  let env: Record<string, string>;
  beforeAll(async () => {
    telemetry = startTestTelemetry();
    shop = await startFaultyShop();
    env = { DATABASE_URL: shop.db.url };
  });
  beforeEach(() => {
    shop.faults.clear();
    shop.faults.add('create-contract');
  });
  afterAll(async () => {
    await shop.close();
    await telemetry.stop();
  });

  const auditOf = async (sagaId: string) => {
    const { rows } = await shop.db.database.query(
      'SELECT actor, action, reason FROM throughline.operator_action WHERE target = $1 ORDER BY id',
      [sagaId],
    );
    return rows;
  };

  it('lists sagas by state and by order, for people and for programs', async () => {
    const sagaId = await shop.beginStuck('O-list');
    const table = await throughline(['saga', 'list', '--state', 'stuck,running', '--order', 'O-list'], env);
    expect([table.exitCode, table.stderr]).toEqual([0, '']);
    const [heading = '', row = '', ...more] = table.stdout.trimEnd().split('\n');
    expect(heading).toMatch(/^SAGA +ORDER +NAME +STATE +STEP +STARTED +REASON$/);
    expect(row.split(/ {2,}/)).toEqual([
      sagaId,
      'O-list',
      'order',
      'stuck',
      'create-contract',
      expect.stringMatching(/^\d{4}-.*Z$/),
      'compensating create-contract failed: AWAY: create-contract: the partner is away',
    ]);
    expect(more).toEqual([]);

    const json = await throughline(['saga', 'list', '--order', 'O-list', '--json'], env);
    expect(JSON.parse(json.stdout)).toEqual({
      sagas: [
        {
          sagaId,
          name: 'order',
          version: 1,
          orderKey: 'O-list',
          state: 'stuck',
          step: 'create-contract',
          reason: 'compensating create-contract failed: AWAY: create-contract: the partner is away',
          parked: null,
          startedAt: expect.any(String),
          endedAt: null,
          traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
        },
      ],
    });
    const none = await throughline(['saga', 'list', '--parked'], env);
    expect([none.exitCode, none.stdout]).toEqual([0, 'There are no such sagas.\n']);
  });

  it('says on stderr that there may be more than it lists', async () => {
    await shop.beginStuck('O-more');
    await shop.beginStuck('O-more');
    const { stdout, stderr } = await throughline(['saga', 'list', '--order', 'O-more', '--limit', '1'], env);
    expect(stdout.trimEnd().split('\n')).toHaveLength(2);
    expect(stderr).toBe('There may be more than these 1: see --limit.\n');
  });

  it('shows every step with its compensation', async () => {
    const sagaId = await shop.beginStuck('O-show');
    const { exitCode, stdout } = await throughline(['saga', 'show', sagaId], env);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^state +stuck at create-contract$/m);
    expect(stdout).toMatch(
      /^create-contract +completed +1 .* stuck +1 +compensation: AWAY: create-contract: /m,
    );
    expect(stdout).toMatch(/^settle-payment +failed +1 .* REFUSED: the card was refused$/m);
    expect(stdout).toContain(`Next: throughline saga retry|skip|resolve ${sagaId}`);

    const json = JSON.parse((await throughline(['saga', 'show', sagaId, '--json'], env)).stdout);
    expect(json).toMatchObject({
      sagaId,
      state: 'stuck',
      input: { viaJob: false },
      waitingFor: null,
      operators: [],
      pendingAction: null,
    });
    expect(json.failure).toEqual({
      step: 'settle-payment',
      error: { type: 'REFUSED', message: 'the card was refused' },
    });
    expect(
      json.steps.map((step: { name: string; status: string; compensation: { status: string } }) => [
        step.name,
        step.status,
        step.compensation.status,
      ]),
    ).toEqual([
      ['verify-account', 'completed', 'skipped'],
      ['redeem-card', 'completed', 'pending'],
      ['create-contract', 'completed', 'stuck'],
      ['settle-payment', 'failed', 'none'],
    ]);
    expect(json.history.at(-1).event.kind).toBe('undo-failed');
  });

  it('retries the stuck compensation, and the saga ends compensated when the fault is gone', async () => {
    const sagaId = await shop.beginStuck('O-retry');
    shop.faults.clear();
    const told = await throughline(
      ['saga', 'retry', sagaId, '--actor', 'ada', '--reason', 'it is back'],
      env,
    );
    expect([told.exitCode, told.stderr]).toEqual([0, '']);
    expect(told.stdout).toBe(
      `Saga ${sagaId}, stuck at create-contract: a running engine tries the compensation again.\n`,
    );
    await shop.inState(sagaId, 'compensated');
    expect(shop.undoneOf('O-retry')).toEqual(['create-contract', 'redeem-card']);
    expect(await auditOf(sagaId)).toEqual([{ actor: 'ada', action: 'saga.retry', reason: 'it is back' }]);
    const { stdout } = await throughline(['saga', 'show', sagaId], env);
    expect(stdout).toMatch(/ada +retry +it is back$/m);
    expect(stdout).not.toContain('Next:');
  });

  it('shows what a saga was told while no engine has taken it up', async () => {
    const sagaId = await shop.beginStuck('O-told');
    await shop.stop();
    await throughline(['saga', 'retry', sagaId, '--actor', 'ada'], env);
    const { stdout } = await throughline(['saga', 'show', sagaId], env);
    expect(stdout).toMatch(/^told +to retry, by ada; no engine has taken that up yet$/m);
    const { pendingAction } = JSON.parse((await throughline(['saga', 'show', sagaId, '--json'], env)).stdout);
    expect(pendingAction).toEqual({ action: 'retry', actor: 'ada', reason: '' });
    await shop.restart();
  });

  it('is stuck again when the fault is still there', async () => {
    const sagaId = await shop.beginStuck('O-again');
    expect((await throughline(['saga', 'retry', sagaId], env)).exitCode).toBe(0);
    await shop.until(
      sagaId,
      ({ history }) => history.filter(({ event }) => event.kind === 'undo-failed').length === 2,
    );
    const { stdout } = await throughline(['saga', 'show', sagaId], env);
    expect(stdout).toMatch(/^create-contract +completed +1 .* stuck +2 /m);
  });

  it('skips the stuck compensation and goes on with the other ones', async () => {
    const sagaId = await shop.beginStuck('O-skip');
    const args = ['saga', 'skip', sagaId, '--yes', '--reason', 'deleted by hand', '--actor', 'ada', '--json'];
    const { exitCode, stdout } = await throughline(args, env);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      sagaId,
      action: 'skip',
      orderKey: 'O-skip',
      step: 'create-contract',
      traceId: null,
      actor: 'ada',
      reason: 'deleted by hand',
    });
    await shop.inState(sagaId, 'compensated');
    expect(shop.undoneOf('O-skip')).toEqual(['redeem-card']);
    const show = await throughline(['saga', 'show', sagaId], env);
    expect(show.stdout).toMatch(/^create-contract .* skipped +1 .*skipped: deleted by hand$/m);
  });

  it('resolves the saga: nothing else is compensated', async () => {
    const sagaId = await shop.beginStuck('O-resolve');
    await throughline(['saga', 'resolve', sagaId, '--yes', '--reason', 'by hand', '--actor', 'ada'], env);
    await shop.inState(sagaId, 'resolved');
    expect(shop.undoneOf('O-resolve')).toEqual([]);
    expect(await auditOf(sagaId)).toEqual([{ actor: 'ada', action: 'saga.resolve', reason: 'by hand' }]);
  });

  it('exports the span of the operator, linked with the saga and its compensation', async () => {
    const received: SpanRecord[] = [];
    const receiver = await startOtlpReceiver({ onSpans: (spans) => received.push(...spans) });
    try {
      const sagaId = await shop.beginStuck('O-traced');
      shop.faults.clear();
      const traced = { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint };
      const { stdout, stderr } = await throughline(['saga', 'retry', sagaId], traced);
      await shop.inState(sagaId, 'compensated');
      const [operate, ...more] = received;
      expect(more).toEqual([]);
      expect(operate).toMatchObject({
        name: 'operate saga.retry',
        service: 'throughline-cli',
        attributes: { 'order.event_id': 'O-traced', 'saga.id': sagaId, 'saga.step': 'create-contract' },
      });
      expect(stderr).toBe('');
      expect(stdout).toContain(`Trace ${operate?.traceId}\n`);
      const spans = (await telemetry.spans()).filter(({ attributes }) => attributes['saga.id'] === sagaId);
      const saga = spans.find(({ name }) => name === 'saga order');
      expect(operate?.links.map(({ spanId }) => spanId)).toEqual([saga?.spanId]);
      const linked = spans.filter(({ links }) => links.some(({ spanId }) => spanId === operate?.spanId));
      expect(linked.map(({ name }) => name)).toEqual(['compensate create-contract', 'saga order']);
    } finally {
      await receiver.close();
    }
  });

  it('acts although nobody takes its span', async () => {
    const sagaId = await shop.beginStuck('O-away');
    const away = { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' };
    const ended = await throughline(['saga', 'resolve', sagaId, '--yes', '--reason', 'x'], away);
    expect(ended.exitCode).toBe(0);
    expect(complaint(ended)).toBe(
      'no answer from http://127.0.0.1:1: the span may be missing from the trace',
    );
    await shop.inState(sagaId, 'resolved');
  });

  it('refuses what cannot be done in one line, with exit code 1', async () => {
    const sagaId = await shop.beginStuck('O-refused');
    await throughline(['saga', 'resolve', sagaId, '--yes', '--reason', 'x'], env);
    await shop.inState(sagaId, 'resolved');
    const retry = await throughline(['saga', 'retry', sagaId], env);
    expect(complaint(retry)).toBe(`saga ${sagaId} is resolved, not stuck: there is nothing to retry`);
    const show = await throughline(['saga', 'show', 'nobody'], env);
    expect(complaint(show)).toBe('there is no saga nobody');
    expect([retry.exitCode, show.exitCode]).toEqual([1, 1]);
  });

  it('prints what partners and callers wrote without what would move the cursor', async () => {
    await shop.beginStuck('O-\u001b[31mred\nline');
    const { stdout } = await throughline(['saga', 'list'], env);
    expect(stdout).toContain('O-red line');
    expect(stdout).not.toContain('\u001b');
  });
});
