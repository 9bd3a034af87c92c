import { context, propagation } from '@opentelemetry/api';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { type PartnersSandbox, startPartnersSandbox } from '../../emulator/partners/sandbox.ts';
import { createPartners } from '../../orders/partners/partners.ts';
import { inSpan, withOrderKey } from '../../shared/index.ts';
import { startTestTelemetry, type TestTelemetry } from '../fakes/telemetry.ts';

let telemetry: TestTelemetry;
let sandbox: PartnersSandbox;
beforeEach(async () => {
  telemetry = startTestTelemetry();
  sandbox = await startPartnersSandbox();
});
afterEach(async () => {
  await sandbox.close();
  await telemetry.stop();
});

/** Redeems a card in a step's span, as a saga does. */
async function redeem(): Promise<unknown> {
  const { card } = createPartners({ baseUrl: sandbox.url, maxAttempts: 2 });
  const call = { orderKey: 'O-1', idempotencyKey: 'O-1/card' };
  const parent = withOrderKey(context.active(), 'O-1');
  return inSpan('step redeem-card', { parent }, () => card.redeem({ cardCode: 'CARD' }, call)).catch(
    (error: unknown) => error,
  );
}

/** The partner's spans, each with the names of those above it. */
async function lineages(name: string): Promise<string[][]> {
  const spans = await telemetry.spans();
  const named = spans.filter((span) => span.name === name);
  return named.map((span) => {
    const names = [];
    for (
      let above = span.parentSpanId;
      above;
      above = spans.find(({ spanId }) => spanId === above)?.parentSpanId
    )
      names.push(spans.find(({ spanId }) => spanId === above)?.name ?? 'missing');
    return names;
  });
}

test('a call is a CLIENT span with its outcome, and the partner’s span lies under it', async () => {
  await redeem();
  const client = await telemetry.span('card.redeem');
  expect(client).toMatchObject({
    kind: 'CLIENT',
    status: { code: 'UNSET' },
    attributes: {
      'peer.service': 'card',
      'server.address': '127.0.0.1',
      'server.port': Number(new URL(sandbox.url).port),
      'partner.outcome': 'done',
      'partner.attempts': 1,
      'order.event_id': 'O-1',
    },
  });
  expect(await telemetry.span('POST /v1/card/redeem')).toMatchObject({
    kind: 'SERVER',
    traceId: client.traceId,
    parentSpanId: client.spanId,
    attributes: {
      'http.request.method': 'POST',
      'http.route': '/v1/card/redeem',
      'http.response.status_code': 200,
      'order.event_id': 'O-1',
    },
  });
  expect(await telemetry.sum('throughline.partner.calls', { partner: 'card', outcome: 'done' })).toBe(1);
});

test('where fetch is traced, each attempt is a span between the call and the partner', async () => {
  const instrumentation = new UndiciInstrumentation({ requireParentforSpans: true });
  onTestFinished(registerInstrumentations({ instrumentations: [instrumentation] }));
  sandbox.faults.add({ kind: 'error', times: 1 });
  await redeem();
  const above = ['POST', 'card.redeem', 'step redeem-card'];
  expect(await lineages('POST /v1/card/redeem')).toEqual([above, above]);
});

test('where fetch is not traced, every attempt lies under the call', async () => {
  sandbox.faults.add({ kind: 'lost-answer', times: 1 });
  await redeem();
  const above = ['card.redeem', 'step redeem-card'];
  expect(await lineages('POST /v1/card/redeem')).toEqual([above, above]);
  const [broken] = (await telemetry.spans()).filter(({ name }) => name === 'POST /v1/card/redeem');
  expect(broken).toMatchObject({
    status: { code: 'ERROR' },
    attributes: { 'error.type': 'connection-broken' },
  });
});

test('a failed call says how, after how many attempts, and why it waited', async () => {
  sandbox.faults.add({ kind: 'error', reason: 'out of order' });
  await redeem();
  const client = await telemetry.span('card.redeem');
  expect(client).toMatchObject({
    status: { code: 'ERROR', message: 'card: out of order' },
    attributes: { 'partner.outcome': 'error', 'partner.attempts': 2, 'error.type': 'PARTNER_UNAVAILABLE' },
  });
  const [retried] = client.events.filter(({ name }) => name === 'retry');
  expect(retried?.attributes).toMatchObject({ 'partner.attempt': 1, 'partner.outcome': 'error' });
  expect(await telemetry.sum('throughline.partner.calls', { outcome: 'error' })).toBe(1);
});

test('a stranger’s broken context starts a trace of its own', async () => {
  const body = JSON.stringify({ orderKey: 'O-2', cardCode: 'CARD' });
  const headers = { traceparent: '00-nonsense', baggage: '=;=', 'idempotency-key': 'O-2' };
  const response = await fetch(`${sandbox.url}/v1/card/redeem`, { method: 'POST', headers, body });
  expect(response.status).toBe(200);
  expect(await telemetry.span('POST /v1/card/redeem')).not.toHaveProperty('parentSpanId', expect.any(String));
  expect(propagation.getActiveBaggage()).toBeUndefined();
});
