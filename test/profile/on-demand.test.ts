import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Child } from '../../scripts/system/child.ts';
import { readComments } from '../../shared/profile/comments.ts';
import { decodeProfile } from '../../shared/profile/pprof.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { TOKEN } from '../admin/admin-process.ts';
import { newOrder, readOrderApi } from '../support/order-api.ts';
import { type Shop, startShop } from '../support/shop.ts';

let shop: Shop;
let folder: string;
let service: Child<{ readonly url: string }>;
let worker: Child<object>;
let relay: Child<object>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'throughline-profiles-'));
  shop = await startShop({
    settings: {
      OTEL_EXPORTER_PROMETHEUS_PORT: '0',
      THROUGHLINE_ADMIN_TOKEN: TOKEN,
      THROUGHLINE_PROFILE_FOLDER: folder,
      LOG_LEVEL: 'info',
    },
  });
  [service, worker, relay] = await Promise.all([
    shop.startService({ THROUGHLINE_RELAY: 'off' }),
    shop.startWorker(),
    shop.startRelay(),
  ]);
}, 90_000);
afterAll(async () => {
  await shop?.close();
  await rm(folder, { recursive: true, force: true });
});

const addressOf = ({ ready }: Child<object>) =>
  new URL('/admin/profile', (ready as { metricsUrl: string }).metricsUrl);

function ask(of: Child<object>, body: unknown, more: RequestInit = {}): Promise<Response> {
  return fetch(addressOf(of), {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...more,
  });
}

async function take(of: Child<object>, body: object) {
  const response = await ask(of, { actor: 'ada', ...body });
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/octet-stream']);
  return decodeProfile(new Uint8Array(await response.arrayBuffer()));
}

async function placeOrders(number: number): Promise<string[]> {
  const api = await readOrderApi(service.ready.url);
  const keys: string[] = [];
  for (let placed = 0; placed < number; placed++) {
    const order = newOrder();
    await api.place(order);
    expect(await api.ended(order.orderKey)).toMatchObject({ state: 'confirmed' });
    keys.push(order.orderKey);
  }
  return keys;
}

describe('profiles of the running system', { timeout: 120_000 }, () => {
  it('of service, worker and relay have their spans, steps and jobs, and nobody’s keys', async () => {
    const taken = Promise.all([service, worker, relay].map((of) => take(of, { seconds: 6 })));
    const keys = await placeOrders(6);
    const [ofService, ofWorker, ofRelay] = (await taken).map((profile) => ({
      profile,
      ...readComments(profile.comments),
    }));
    expect(ofService?.facts).toMatchObject({ service: 'order-service', kind: 'cpu' });
    const steps = new Map(ofService?.ended.map(({ span, step, ended }) => [span, { step, ended }]));
    expect(steps.get('step redeem-card')).toMatchObject({ step: 'redeem-card' });
    expect(steps.get('POST /orders')?.ended).toBeGreaterThan(1);
    expect(ofWorker?.ended).toContainEqual(
      expect.objectContaining({ span: 'process workspace-jobs', job: 'workspace.set-up' }),
    );
    expect(ofRelay?.ended.map(({ span }) => span)).toContain('send workspace-jobs');
    const labels = new Set(ofService?.profile.samples.flatMap((sample) => Object.values(sample.labels)));
    expect(labels).toContain('workspace-card-order');
    const everything = JSON.stringify([ofService, ofWorker, ofRelay]);
    for (const key of keys) expect(everything).not.toContain(key);
  });

  it('are audited', async () => {
    await take(worker, { seconds: 0.1, kind: 'heap', actor: 'grace' });
    const database = openDatabase({ connectionString: shop.databaseUrl });
    onTestFinished(() => database.close());
    const { rows } = await database.query(
      "SELECT actor, via, target, details FROM throughline.operator_action WHERE action = 'profile.take' AND actor = 'grace'",
    );
    expect(rows).toEqual([
      { actor: 'grace', via: 'http', target: 'order-worker', details: { kind: 'heap', seconds: 0.1 } },
    ]);
  });

  it('one at a time; whoever hangs up ends theirs', async () => {
    const hangUp = new AbortController();
    const first = ask(worker, { seconds: 300, actor: 'ada' }, { signal: hangUp.signal });
    first.catch(() => {});
    await expect.poll(async () => (await ask(worker, { seconds: 0.1, actor: 'bob' })).status).toBe(409);
    hangUp.abort();
    await expect(first).rejects.toThrow();
    await expect.poll(async () => (await ask(worker, { seconds: 0.1, actor: 'bob' })).status).toBe(200);
  });

  it.each([
    ['no token', { headers: { 'content-type': 'application/json' } }, 401, 'token-missing'],
    ['a wrong one', { headers: { authorization: 'Bearer no' } }, 401, 'token-wrong'],
    ['GET', { method: 'GET', body: null }, 405, 'method-not-allowed'],
    ['no JSON', { body: '{' }, 400, 'bad-request'],
    ['too much of it', { body: `"${'x'.repeat(5_000)}"` }, 413, 'too-large'],
  ])('refuses %s', async (_, more, status, kind) => {
    const response = await ask(worker, '{}', more as RequestInit);
    expect([response.status, await response.json()]).toEqual([
      status,
      expect.objectContaining({ type: `urn:throughline:problem:${kind}` }),
    ]);
  });

  it('refuses what it does not know, by field', async () => {
    const response = await ask(worker, { seconds: 301, kind: 'wall', orders: 1 });
    expect(response.status).toBe(422);
    const { errors } = (await response.json()) as { errors: { field: string }[] };
    expect(errors.map(({ field }) => field).sort()).toEqual(['actor', 'body', 'kind', 'seconds']);
  });

  it('is closed without a configured token', async () => {
    const closed = await shop.startRelay({ THROUGHLINE_ADMIN_TOKEN: '' });
    const response = await ask(closed, { actor: 'ada' });
    expect([response.status, await response.json()]).toEqual([
      403,
      expect.objectContaining({ type: 'urn:throughline:problem:admin-closed' }),
    ]);
  });

  it('are written on SIGUSR2, and sooner on a second one', async () => {
    const kill = () => process.kill(relay.pid, 'SIGUSR2');
    kill();
    await fetch(new URL('/metrics', addressOf(relay))); // what is answered after the signal was sent, was begun after it
    expect((await ask(relay, { seconds: 0.1, actor: 'bob' })).status).toBe(409);
    kill();
    await expect.poll(() => readdir(folder)).toHaveLength(2);
    const files = (await readdir(folder)).sort();
    expect(files).toEqual([
      expect.stringMatching(/^order-relay-\d+-\d{8}T\d{6}Z\.cpu\.pb\.gz$/),
      expect.stringMatching(/^order-relay-\d+-\d{8}T\d{6}Z\.heap\.pb\.gz$/),
    ]);
    const read = () =>
      Promise.all(files.map(async (file) => decodeProfile(await readFile(join(folder, file)))));
    await expect
      .poll(async () => (await read().catch(() => [])).map(({ valueTypes }) => valueTypes.at(-1)?.type))
      .toEqual(['cpu', 'inuse_space']);
  });
});
