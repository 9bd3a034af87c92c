import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type PartnersSandbox, startPartnersSandbox } from '../../emulator/partners/sandbox.ts';
import { createSandboxClient } from '../../emulator/partners/sandbox-client.ts';
import { PartnerRefusedError, PartnerUnavailableError } from '../../orders/partners/errors.ts';
import type { PartnerClientOptions } from '../../orders/partners/partner-client.ts';
import { createPartners, type Partners } from '../../orders/partners/partners.ts';
import { askPartner } from '../support/ask-partner.ts';

let sandbox: PartnersSandbox;
beforeAll(async () => {
  sandbox = await startPartnersSandbox();
});
afterEach(() => sandbox.faults.clear());
afterAll(() => sandbox.close());

const clients = (options: Partial<PartnerClientOptions> = {}): Partners =>
  createPartners({ baseUrl: sandbox.url, ...options });
const callOf = (orderKey: string, signal?: AbortSignal) => ({
  orderKey,
  idempotencyKey: `${orderKey}/card`,
  signal,
});
const redeem = (orderKey: string, partners = clients(), signal?: AbortSignal) =>
  partners.card.redeem({ cardCode: 'CARD' }, callOf(orderKey, signal));
const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'no failure',
    (error: unknown) => error,
  );
const effects = (orderKey: string) => sandbox.effects(orderKey).map(({ effect }) => effect);
const answers = (orderKey: string) => sandbox.calls(orderKey).map(({ answered }) => answered);

test('an error is retried under the same key', async () => {
  sandbox.faults.add({ kind: 'error', orderKey: 'error', times: 2 });
  expect(await redeem('error')).toEqual({ redemptionId: expect.any(String) });
  expect(answers('error')).toEqual([503, 503, 200]);
  expect(new Set(sandbox.calls('error').map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
});

test('errors without end are unavailability that may have had its effect', async () => {
  sandbox.faults.add({ kind: 'error', orderKey: 'errors', status: 500, reason: 'out of order' });
  const error = await failure(redeem('errors'));
  expect(error).toBeInstanceOf(PartnerUnavailableError);
  expect(error).toMatchObject({ effect: 'unknown', retryable: true, message: 'card: out of order' });
  expect(answers('errors')).toEqual([500, 500, 500]);
});

test('a connection that breaks before the effect is tried again', async () => {
  sandbox.faults.add({ kind: 'reset', orderKey: 'reset', times: 1 });
  await redeem('reset');
  expect(answers('reset')).toEqual(['nothing', 200]);
  expect(effects('reset')).toEqual(['redeem']);
});

test('connections that always break before the effect leave none, and nobody can tell', async () => {
  sandbox.faults.add({ kind: 'reset', orderKey: 'resets' });
  expect(await failure(redeem('resets'))).toMatchObject({ reason: 'no-answer', effect: 'unknown' });
  expect(answers('resets')).toEqual(['nothing', 'nothing', 'nothing']);
  expect(effects('resets')).toEqual([]);
});

test('an answer that is lost is asked for again, and nothing happens twice', async () => {
  sandbox.faults.add({ kind: 'lost-answer', orderKey: 'lost', times: 1 });
  const { redemptionId } = await redeem('lost');
  expect(answers('lost')).toEqual(['nothing', 200]);
  expect(sandbox.effects('lost')).toMatchObject([{ effect: 'redeem', reference: redemptionId }]);
});

test('a refusal after a lost answer does not pretend that nothing happened', async () => {
  sandbox.faults.add({ kind: 'lost-answer', orderKey: 'doubt', times: 1 });
  sandbox.faults.add({ kind: 'refuse', orderKey: 'doubt' });
  expect(await failure(redeem('doubt'))).toMatchObject({ code: 'PARTNER_REFUSED', effect: 'unknown' });
  expect(effects('doubt')).toEqual(['redeem']);
});

test('a refusal is final, has no effect, and says why', async () => {
  sandbox.faults.add({ kind: 'refuse', orderKey: 'refused', status: 402, reason: 'the card is empty' });
  const error = await failure(redeem('refused'));
  expect(error).toBeInstanceOf(PartnerRefusedError);
  expect(error).toMatchObject({
    code: 'PARTNER_REFUSED',
    retryable: false,
    effect: 'none',
    status: 402,
    title: 'the card is empty',
  });
  expect(answers('refused')).toEqual([402]);
});

test('a rate limit is waited for as long as the partner asks, when that is short', async () => {
  sandbox.faults.add({ kind: 'rate-limit', orderKey: 'busy', times: 1, retryAfterSeconds: 0.3 });
  await redeem('busy');
  const [first, second] = sandbox.calls('busy').map(({ at }) => Date.parse(at));
  expect(answers('busy')).toEqual([429, 200]);
  // Far longer than the backoff that it would have waited otherwise, which is 50 ms at most.
  expect(Number(second) - Number(first)).toBeGreaterThanOrEqual(250);
});

test('a long rate limit is left to the saga, with the wish of the partner', async () => {
  sandbox.faults.add({ kind: 'rate-limit', orderKey: 'full', retryAfterSeconds: 3 });
  const error = await failure(redeem('full'));
  expect(error).toMatchObject({ reason: 'rate-limit', retryable: true, retryAfterMs: 3_000 });
  expect(answers('full')).toEqual([429]);
});

test('a slow partner runs into the time-out of each attempt, and it may have happened', async () => {
  sandbox.faults.add({ kind: 'latency', orderKey: 'slow', latencyMs: 300 });
  const error = await failure(redeem('slow', clients({ timeoutMs: 50, maxAttempts: 2 })));
  expect(error).toMatchObject({ reason: 'no-answer', effect: 'unknown', retryable: true });
  await expect.poll(() => answers('slow')).toEqual([200, 200]);
  expect(effects('slow')).toEqual(['redeem']);
});

test('a request that arrives after its undo is refused', async () => {
  const { card } = clients();
  sandbox.faults.add({ kind: 'latency', orderKey: 'late', effect: 'redeem', latencyMs: 500, times: 1 });
  const body = { orderKey: 'late', cardCode: 'CARD' };
  const late = askPartner(sandbox.url, 'card/redeem', 'late/card', body);
  const arrived = { orderKey: 'late', partner: 'card', effect: 'redeem' };
  await createSandboxClient(sandbox.url).called(arrived);
  const undo = { orderKey: 'late', idempotencyKey: 'late/card/undo' };
  expect(await card.reactivate({ undoes: 'late/card' }, undo)).toEqual({ outcome: 'nothing-to-undo' });
  expect((await late).status).toBe(409);
  expect(await failure(redeem('late'))).toMatchObject({ code: 'PARTNER_REFUSED', status: 409 });
  expect(effects('late')).toEqual([]);
});

test('a caller that gives up gets its own reason back', async () => {
  sandbox.faults.add({ kind: 'latency', orderKey: 'given-up', latencyMs: 60_000 });
  const controller = new AbortController();
  const reason = new Error('the step timed out');
  const failed = failure(redeem('given-up', clients(), controller.signal));
  const arrived = { orderKey: 'given-up', partner: 'card', effect: 'redeem' };
  await createSandboxClient(sandbox.url).called(arrived);
  controller.abort(reason);
  expect(await failed).toBe(reason);
});

test('nothing can have happened where nobody listens', async () => {
  const gone = await startPartnersSandbox();
  await gone.close();
  const error = await failure(redeem('gone', clients({ baseUrl: gone.url })));
  expect(error).toMatchObject({ reason: 'no-answer', effect: 'none', retryable: true });
});

test('the circuit opens after failures in a row, asks other partners all the same, and closes again', async () => {
  const partners = clients({ breakAfterFailures: 3, breakMs: 200 });
  sandbox.faults.add({ kind: 'error', orderKey: 'circuit', partner: 'card' });
  expect(await failure(redeem('circuit', partners))).toMatchObject({ reason: 'error' });
  const error = await failure(redeem('circuit', partners));
  expect(error).toMatchObject({ reason: 'circuit-open', effect: 'none', retryable: true });
  expect(answers('circuit')).toEqual([503, 503, 503]);
  await partners.account.verify({ email: 'a@b.example' }, callOf('circuit'));
  sandbox.faults.clear();
  const again = () => redeem('circuit', partners).catch(() => undefined);
  await expect.poll(again).toEqual({ redemptionId: expect.any(String) });
  expect(effects('circuit')).toEqual(['verify', 'redeem']);
});

test('refusals and rate limits open no circuit: the partner is there', async () => {
  const partners = clients({ breakAfterFailures: 2, maxAttempts: 1 });
  sandbox.faults.add({ kind: 'refuse', orderKey: 'there', times: 3 });
  sandbox.faults.add({ kind: 'rate-limit', orderKey: 'there', times: 3 });
  for (let call = 0; call < 6; call++) await failure(redeem('there', partners));
  expect(await redeem('there', partners)).toEqual({ redemptionId: expect.any(String) });
});

test('an answer that nobody understands is no success, and is not asked for again', async () => {
  const server = createServer((_, response) => void response.end('{"redemptionId":""}'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const error = await failure(redeem('odd', clients({ baseUrl })));
  expect(error).toMatchObject({ code: 'PARTNER_ANSWER', retryable: false });
  expect(error).not.toHaveProperty('effect');
});
