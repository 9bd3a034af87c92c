import { expect, onTestFinished, test } from 'vitest';
import { ExportTraceServiceRequest } from '../../console/otlp-schema.ts';
import { readSpans } from '../../console/otlp-spans.ts';
import { CATALOGUE } from '../../orders/campaign/channels.ts';
import { createUnsubscribeLinks } from '../../orders/campaign/unsubscribe.ts';
import {
  JOBS_DEAD_LETTER_TOPIC,
  JOBS_TOPIC,
  NOTIFICATIONS_DEAD_LETTER_TOPIC,
  RESULTS_TOPIC,
} from '../../orders/contract.ts';
import {
  approveCampaign,
  registerCampaign,
  startCampaign,
  watchCampaign,
} from '../../publisher/campaign/index.ts';
import { decideAtBank } from '../../scripts/system/browser.ts';
import { startChild } from '../../scripts/system/child.ts';
import { applyTopology, createStreamingPullSource, type IncomingMessage } from '../../shared/index.ts';
import { type Database, openDatabase } from '../../shared/storage/database.ts';
import { throughline } from '../cli/throughline.ts';
import { cleanEnvironment } from '../support/child-process.ts';
import { newOrder, readOrderApi } from '../support/order-api.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { type Shop, startShop } from '../support/shop.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startListener } from './listener.ts';
import { createNeedles, findLeaks, type Needle, type Told } from './needles.ts';

/**
 * A full run of the shop in which everything goes wrong that can, at the lowest log level, with a customer, an operator and secrets that
 * can be told from anything else; then everything that any process told anybody is searched for them. What is stored to be sent again
 * (payloads) is the data itself, and is not told.
 */
const needles = createNeedles();
const { email, otherEmail, firstName, cardCode, cardNumber, pushToken } = needles;
const CAMPAIGN = 'autumn-terms';
const DEATHS = 7;

let shop: Shop;
let own: TestDatabase;
let database: Database;
const told: Told[] = [];
const secrets: Needle[] = Object.entries(needles).map(([what, value]) => ({ what, value }));
const dead: IncomingMessage[] = [];
let kinds: Record<string, number> = {};

async function run(): Promise<void> {
  const listener = await startListener();
  own = await createTestDatabase();
  database = openDatabase({ connectionString: own.url });
  const logs = new Map<string, string>();
  const onLog = (text: string, main: string) => void logs.set(main, (logs.get(main) ?? '') + text);
  const role = `leak_${own.url.slice(-12)}`;
  await database.query(
    `CREATE ROLE ${role} SUPERUSER LOGIN PASSWORD '${needles.databasePassword}'`, // of a server that ends with the tests
  );
  const url = new URL(own.url);
  url.username = role;
  url.password = encodeURIComponent(needles.databasePassword);
  const settings = {
    LOG_LEVEL: 'trace',
    DATABASE_URL: url.href,
    OTEL_EXPORTER_OTLP_ENDPOINT: listener.endpoint,
    OTEL_EXPORTER_PROMETHEUS_PORT: '0',
    THROUGHLINE_SIGNING_SECRET: needles.signingSecret,
    THROUGHLINE_ADMIN_TOKEN: needles.adminToken,
  };
  shop = await startShop({ databaseUrl: own.url, settings, onLog });
  const letters = await collectLetters();
  const enough = await lettersStored(DEATHS);
  const [service, worker, relay] = await Promise.all([
    shop.startService({ THROUGHLINE_RELAY: 'off' }),
    shop.startWorker(),
    shop.startRelay(),
  ]);
  const admin = await startChild<{ url: string }>({
    main: 'cli/main.ts',
    args: ['admin', 'serve'],
    env: cleanEnvironment({ ...settings, THROUGHLINE_ADMIN_PORT: '0' }),
    onLog: (text) => onLog(text, 'admin'),
  });

  await orders(service.ready.url);
  await strangers(service.ready.url);
  await campaign(service.ready.url);
  await operators(admin.ready.url);
  await publishNonsense();
  await Promise.all([enough.stored, letters.arrived]);
  // All connections go at once, and come back.
  await database.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = $1',
    [role],
  );
  await scraped([service, worker, relay]);
  await listings({ DATABASE_URL: url.href });
  await Promise.all([service, worker, relay, admin].map((child) => child.stop()));
  await letters.close();
  await listener.close();

  for (const [main, text] of logs)
    told.push(...text.split('\n').map((line) => ({ where: `log of ${main}`, text: line })));
  for (const { path, bytes } of listener.bodies) told.push(...exported(path, bytes));
  await storedDeaths();
  await enough.close();
  await database.query(`REASSIGN OWNED BY ${role} TO CURRENT_USER; DROP OWNED BY ${role}; DROP ROLE ${role}`);
  for (const { where } of told) kinds = { ...kinds, [where]: (kinds[where] ?? 0) + 1 };
}

/** A partner quotes what it was sent, as it is and encoded, and what else its people think helps. */
const quoting = (value: string) =>
  `no such customer: ${value}, ${encodeURIComponent(value)}, ${Buffer.from(value).toString('base64')}; card ${cardNumber}`;

async function orders(serviceUrl: string): Promise<void> {
  const api = await readOrderApi(serviceUrl);
  const { faults } = shop.sandbox;
  const headers = {
    'idempotency-key': needles.idempotencyKey,
    authorization: `Bearer ${needles.wrongToken}`,
    cookie: `sid=${needles.cookie}`,
  };
  const order = (more: object = {}) => newOrder({ email, cardCode, ...more });
  const end = async (placed: { readonly orderKey: string }, state: string, more = {}) => {
    await api.place(placed, more);
    expect(await api.ended(placed.orderKey)).toMatchObject({ state });
  };
  await end(order(), 'confirmed', headers);

  const refusals = [
    ['account', 'verify', quoting(email)],
    ['card', 'redeem', quoting(cardCode)],
    ['registrar', 'acquire', `taken by <${otherEmail}>, who pays with ${cardNumber}`], // of somebody else, even
  ] as const;
  for (const [partner, effect, reason] of refusals) {
    faults.add({ partner, effect, kind: 'refuse', times: 1, reason });
    await end(order(), 'compensated');
  }
  const exhausted = order();
  const always = { orderKey: exhausted.orderKey, kind: 'error', reason: quoting(email) } as const;
  faults.add({ partner: 'workspace', effect: 'set-up', ...always });
  await end(exhausted, 'compensated');

  const unmailed = order();
  const refused = { orderKey: unmailed.orderKey, kind: 'refuse', reason: quoting(email) } as const;
  faults.add({ partner: 'mail', effect: 'send', ...refused });
  await end(unmailed, 'confirmed');

  const large = order({ items: [{ sku: 'workspace-plus', quantity: 10 }] });
  await api.place(large);
  const { action } = await api.until(large.orderKey, (view) => view.action !== undefined);
  const { returnUrl } = await paymentOf(large.orderKey);
  if (returnUrl)
    secrets.push({ what: '3-D Secure state', value: new URL(returnUrl).searchParams.get('state') ?? '' });
  await decideAtBank(action?.url ?? '', 'decline');
  await api.ended(large.orderKey);

  // The database itself quotes the row: in the detail of a check, and in a message.
  await database.query(`
    ALTER TABLE shop.customer_order ADD CONSTRAINT nobody CHECK (domain <> 'check.example');
    CREATE FUNCTION quote() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN IF NEW.domain = ''trigger.example'' THEN RAISE EXCEPTION ''no room for %'', NEW.email; END IF; RETURN NEW; END';
    CREATE TRIGGER quote BEFORE INSERT ON shop.customer_order FOR EACH ROW EXECUTE FUNCTION quote()`);
  for (const domain of ['check.example', 'trigger.example']) {
    const { status } = await fetch(`${serviceUrl}/orders`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...headers,
        'idempotency-key': `${domain}-${needles.idempotencyKey}`,
      },
      body: JSON.stringify(order({ domain })),
    });
    expect(status).toBe(500);
  }
}

/** Where the bank was told to send the customer back to: the sandbox shows nobody, but the state follows from the secret. */
async function paymentOf(orderKey: string): Promise<{ readonly returnUrl?: string }> {
  const { createReturnState } = await import('../../orders/http/return-state.ts');
  const { rows } = await database.query<{ saga_id: string }>(
    'SELECT saga_id FROM shop.customer_order WHERE order_key = $1',
    [orderKey],
  );
  const state = createReturnState(needles.signingSecret).sign(orderKey, rows[0]?.saga_id ?? '');
  return { returnUrl: `http://shop/?state=${encodeURIComponent(state)}` };
}

/** What is sent by whoever does not know how, or tries. */
async function strangers(url: string): Promise<void> {
  const json = { 'content-type': 'application/json' };
  const bodies = [
    cardCode,
    `"${cardCode}" ${email}`,
    `{"email":"${email}"`,
    JSON.stringify({ email, cardCode: `${cardCode}!`, [email]: 1 }),
    JSON.stringify({ email: `${email} `, domain: email, cardCode }),
  ];
  for (const body of bodies) await fetch(`${url}/orders`, { method: 'POST', headers: json, body });
  const encoded = encodeURIComponent(email);
  const paths = [
    ...[`/orders/${encoded}`, `/orders/${email}`, `/orders/O-1?email=${encoded}&token=${needles.queryToken}`],
    ...[
      `/nothing?api_key=${needles.queryToken}&access_token=${needles.queryToken}`,
      `/unsubscribe?email=${email}`,
    ],
    ...[`/unsubscribe?token=${needles.queryToken}`, `/orders/O-1/3ds-return?state=${needles.queryToken}`],
  ];
  for (const path of paths)
    await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${needles.wrongToken}`, from: email } });
}

async function campaign(serviceUrl: string): Promise<void> {
  await database.query(
    `INSERT INTO shop.customer (email, first_name, push_token) VALUES ($1, $3, $4), ($2, $3, NULL), ('c@example.com', 'C', NULL)
     ON CONFLICT (lower(email)) DO UPDATE SET first_name = excluded.first_name, push_token = excluded.push_token`,
    [email, otherEmail, firstName, pushToken],
  );
  const { faults } = shop.sandbox;
  faults.add({ partner: 'mail', effect: 'deliver', kind: 'refuse', times: 1, reason: quoting(email) });
  faults.add({ partner: 'mail', effect: 'deliver', kind: 'lost-answer', times: 1 });
  faults.add({ partner: 'push', effect: 'deliver', kind: 'refuse', times: 1, reason: quoting(pushToken) });
  const links = createUnsubscribeLinks({ secret: needles.signingSecret, publicUrl: serviceUrl });
  for (const [channel, segment] of [
    ['email', 'customers'],
    ['push', 'app-users'],
  ] as const) {
    const id = `${CAMPAIGN}-${channel}`;
    const operator = { actor: 'ada', campaignId: id };
    await registerCampaign(database, {
      ...{ ...CATALOGUE, actor: 'ada' },
      definition: {
        ...{ id, channel, category: 'terms', segments: [segment], perSecond: 100, maxFailureShare: 1 },
        template: { subject: 'Dear {{firstName}}', body: 'Stop: {{unsubscribeUrl}} {{email}}' },
      },
    });
    const { rows } = await database.query('SELECT FROM shop.customer WHERE $1 OR push_token IS NOT NULL', [
      channel === 'email',
    ]);
    await approveCampaign(database, { ...operator, expectedCount: rows.length });
    await startCampaign(database, operator);
    const signal = AbortSignal.timeout(PATIENCE_MS);
    for await (const { endedAt } of watchCampaign(database, { campaignId: id, everyMs: 100, signal }))
      if (endedAt !== undefined) break;
  }
  const link = links.urlOf({ campaign: `${CAMPAIGN}-email`, channel: 'email', address: otherEmail });
  secrets.push({ what: 'unsubscribe token', value: new URL(link).searchParams.get('token') ?? '' });
  await fetch(link);
  await fetch(link, { method: 'POST', body: new URLSearchParams({ 'List-Unsubscribe': 'One-Click' }) });
}

async function operators(url: string): Promise<void> {
  for (const token of [needles.adminToken, needles.wrongToken])
    for (const path of [
      '/admin/sagas',
      '/admin/jobs',
      '/admin/dead-letters',
      `/admin/jobs/${email}`,
      `/admin?token=${token}`,
    ]) {
      const { status } = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } });
      if (path === '/admin/sagas') expect(status).toBe(token === needles.adminToken ? 200 : 401);
    }
}

/** Five letters: with two of the orders', seven. */
async function publishNonsense(): Promise<void> {
  const attributes = (type: string, id: string) => ({
    'ce-id': id,
    'ce-type': type,
    'ce-specversion': '1.0',
  });
  const wrong = { orderKey: 'O-1', domain: 'x', email, [email]: cardCode };
  await shop.publish(JOBS_TOPIC, {
    data: Buffer.from(cardCode),
    attributes: attributes('workspace.set-up.v1', 'n1'),
  });
  await shop.publish(JOBS_TOPIC, {
    data: Buffer.from(`{"email": ${email}`),
    attributes: attributes('workspace.set-up.v1', 'n2'),
  });
  await shop.publish(JOBS_TOPIC, {
    data: Buffer.from(JSON.stringify(wrong)),
    attributes: attributes('workspace.set-up.v1', 'n3'),
  });
  await shop.publish(JOBS_TOPIC, {
    data: Buffer.from(JSON.stringify(wrong)),
    attributes: attributes('nobody.knows.v1', 'n4'),
  });
  await shop.publish(RESULTS_TOPIC, {
    data: Buffer.from(`{"error": "${email}"`),
    attributes: attributes('saga.job-result.v1', 'n5'),
  });
}

/** Resolves when as many dead letters are in the table. */
async function lettersStored(wanted: number) {
  const stored = Promise.withResolvers<void>();
  await database.query(`
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_notify(''letters'', ''''); RETURN NULL; END';
    CREATE TRIGGER tell AFTER INSERT ON throughline.dead_letter EXECUTE FUNCTION tell()`);
  const close = await database.listen('letters', () => {
    void database
      .query('SELECT count(*)::int AS n FROM throughline.dead_letter')
      .then(({ rows }) => (rows[0] as { n: number }).n >= wanted && stored.resolve());
  });
  return { stored: stored.promise, close };
}

/** A second subscription to each dead-letter topic, for what lies there. */
async function collectLetters() {
  const topics = [JOBS_DEAD_LETTER_TOPIC, NOTIFICATIONS_DEAD_LETTER_TOPIC];
  const names = topics.map((topic) => ({ name: `${topic}-spy`, topic }));
  await applyTopology(shop.connection, { topics: [], subscriptions: names });
  const arrived = Promise.withResolvers<void>();
  const sources = names.map(({ name }) =>
    createStreamingPullSource(shop.connection, { subscription: name, streams: 1 }),
  );
  await Promise.all(
    sources.map((source) =>
      source.start({
        onMessage(message) {
          dead.push(message);
          source.ack(message);
          if (dead.length >= DEATHS - 1) arrived.resolve(); // that of a result lies elsewhere
        },
        onError() {},
      }),
    ),
  );
  return { arrived: arrived.promise, close: () => Promise.all(sources.map((source) => source.close())) };
}

async function scraped(children: readonly { readonly ready: object }[]): Promise<void> {
  for (const { ready } of children) {
    const response = await fetch((ready as { metricsUrl: string }).metricsUrl);
    told.push(...(await response.text()).split('\n').map((text) => ({ where: 'metrics scraped', text })));
  }
}

/** What operators look through. */
async function listings(env: Readonly<Record<string, string>>): Promise<void> {
  const lists = [
    ['dead-letter', 'list'],
    ['job', 'list'],
    ['saga', 'list'],
    ['order', 'list'],
    ['campaign', 'list'],
  ];
  for (const list of lists.flatMap((one) => [one, [...one, '--json']])) {
    const { stdout, stderr, exitCode } = await throughline(list, env);
    expect([exitCode, list.join(' ')]).toEqual([0, list.join(' ')]);
    told.push({ where: `throughline ${list.join(' ')}`, text: stdout + stderr });
  }
}

/** Text by text, and then the bytes: nothing that was sent is in a field that nobody looks at. */
function exported(path: string, bytes: Buffer): Told[] {
  const whole = { where: `request to ${path}`, text: bytes.toString('utf8') };
  if (path !== '/v1/traces') return [whole];
  const { spans } = readSpans(ExportTraceServiceRequest.decode(bytes));
  const parts = spans.map((span) => ({
    where: 'span',
    text: JSON.stringify({ ...span, traceId: undefined, spanId: undefined, parentSpanId: undefined }),
  }));
  return [...parts, whole];
}

/** Everything of a death but the message itself, which is to be sent again; and what failed besides. */
async function storedDeaths(): Promise<void> {
  for (const { attributes } of dead)
    told.push({ where: 'dead letter on the topic', text: JSON.stringify(attributes) });
  const queries = {
    'dead letter in the table': `SELECT to_jsonb(l) - 'data' AS told FROM throughline.dead_letter l`,
    'inbox row': 'SELECT to_jsonb(i) AS told FROM throughline.inbox i',
    'error of the outbox':
      'SELECT to_jsonb(last_error) AS told FROM throughline.outbox WHERE last_error IS NOT NULL',
    'parked saga': 'SELECT to_jsonb(parked) AS told FROM throughline.saga WHERE parked IS NOT NULL',
    'error of a step': `SELECT jsonb_path_query(events::jsonb, '$.**.error') AS told FROM throughline.saga_journal`,
    'reason in a ledger':
      'SELECT to_jsonb(reason) AS told FROM throughline.campaign_recipient WHERE reason IS NOT NULL',
    'operator action': 'SELECT to_jsonb(o) AS told FROM throughline.operator_action o',
  };
  for (const [where, query] of Object.entries(queries)) {
    const { rows } = await database.query<{ told: unknown }>(query);
    told.push(...rows.map((row) => ({ where, text: JSON.stringify(row.told) })));
  }
}

test('nothing that any process tells names a customer, a card or a secret', {
  timeout: 3 * PATIENCE_MS,
}, async () => {
  onTestFinished(async () => {
    await shop?.close();
    await database?.close();
    await own?.close();
  });
  await run();
  for (const [where, atLeast] of [
    ['log of orders/order-service-main.ts', 5],
    ['log of orders/worker-main.ts', 10],
    ['span', 300],
    ['request to /v1/metrics', 1],
    ['metrics scraped', 100],
    ['dead letter on the topic', DEATHS - 1],
    ['dead letter in the table', DEATHS],
    ['error of a step', 4],
  ] as const)
    expect(kinds[where] ?? 0, `how much there is of: ${where}`).toBeGreaterThanOrEqual(atLeast);
  expect(secrets.every(({ value }) => value.length >= 8)).toBe(true);
  expect(findLeaks(secrets, told)).toEqual([]);
});
