import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { OrderView } from '../../orders/http/schemas.ts';
import { decideAtBank } from '../../scripts/system/browser.ts';
import type { Child } from '../../scripts/system/child.ts';
import { freePort } from '../../shared/free-port.ts';
import { adminFor } from '../admin/admin-process.ts';
import { newOrder } from '../support/order-api.ts';
import { type Shop, startShop } from '../support/shop.ts';
import { complaint, throughline } from './throughline.ts';

describe('throughline order', () => {
  let shop: Shop;
  let service: Child<{ readonly url: string }>;
  let env: Record<string, string>;
  beforeAll(async () => {
    shop = await startShop();
    [service] = await Promise.all([shop.startService(), shop.startWorker()]);
    env = { PUBLIC_URL: service.ready.url, DATABASE_URL: shop.databaseUrl };
  });
  afterAll(() => shop.close());

  const order = (args: readonly string[], more: Readonly<Record<string, string>> = {}) =>
    throughline(['order', ...args], { ...env, ...more });
  const FLAGS = ['--domain', 'shop.example', '--email', 'ada@shop.example'];

  it('places an order by flags, and its watch ends with 0 when it is confirmed', async () => {
    const { orderKey } = newOrder();
    const placed = await order(['place', ...FLAGS, '--order-key', orderKey, '--yes', '--no-wait']);
    expect([placed.exitCode, placed.stderr]).toEqual([0, '']);
    expect(placed.stdout).toMatch(
      new RegExp(
        `^Order ${orderKey} is placed: EUR 6\\.80, 1 user for shop\\.example; it is \\w+\\.\nNext: `,
      ),
    );
    const watched = await order(['watch', orderKey]);
    expect([watched.exitCode, watched.stderr]).toEqual([0, '']);
    const lines = watched.stdout.trimEnd().split('\n');
    expect(lines.every((line) => /^\d{4}-\S+Z O-\S+ \w+/.test(line))).toBe(true);
    expect(lines.at(-1)).toContain(`${orderKey} confirmed`);
    // The inbox keeps whose job it was, and its trace, when the outbox has forgotten it.
    const jobs = await throughline(
      ['job', 'list', '--order', orderKey, '--job', 'workspace.set-up', '--json'],
      env,
    );
    const { traceId } = JSON.parse((await order(['show', orderKey, '--json'])).stdout) as OrderView;
    expect(JSON.parse(jobs.stdout).jobs).toMatchObject([{ state: 'done', orderKey, traceId }]);
    const shown = await order(['show', orderKey]);
    expect(shown.stdout).toMatch(/^state +confirmed$/m);
    expect(shown.stdout).toMatch(/^confirm-order +completed +1 /m);
  }, 180_000);

  it('places a file, once for each idempotency key, says where the customer has to go, and follows it to its compensation', async () => {
    const path = join(tmpdir(), `order-${process.pid}.json`);
    const { orderKey, ...rest } = newOrder({ items: [{ sku: 'workspace-plus', quantity: 10 }] });
    await writeFile(path, JSON.stringify({ orderKey, ...rest }));
    const args = ['place', '--file', path, '--idempotency-key', `key-${orderKey}`, '--yes'];
    const [first, second] = [await order([...args, '--json']), await order(args)];
    const view = JSON.parse(first.stdout) as OrderView & { idempotencyKey: string };
    expect(view).toMatchObject({ orderKey, state: 'waiting', idempotencyKey: `key-${orderKey}` });
    const url = view.action?.url ?? '';
    expect(second.stdout).toContain(`3-D Secure, until ${view.action?.expiresAt}: ${url}\n`);
    expect(shop.effects(orderKey).filter((effect) => effect === 'payment/prepare')).toHaveLength(1);

    const watching = order(['watch', orderKey, '--json']);
    await decideAtBank(url, 'decline');
    const watched = await watching;
    expect(watched.exitCode).toBe(3);
    const events = watched.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as OrderView);
    expect(events.at(-1)).toMatchObject({ orderKey, state: 'compensated' });
  }, 180_000);

  it('lists page by page, the same over HTTP as at the terminal', async () => {
    for (let placed = 0; placed < 3; placed++) await order(['place', ...FLAGS, '--yes', '--no-wait']);
    const all = JSON.parse((await order(['list', '--json'])).stdout) as { orders: { orderKey: string }[] };
    const seen: string[] = [];
    for (let after: string[] = [], page = 0; page < 20; page++) {
      const listed = await order(['list', '--json', '--limit', '2', ...after]);
      const { orders, next } = JSON.parse(listed.stdout) as {
        orders: { orderKey: string }[];
        next: string | null;
      };
      seen.push(...orders.map(({ orderKey }) => orderKey));
      if (next === null) break;
      after = ['--after', next];
    }
    expect(seen).toEqual(all.orders.map(({ orderKey }) => orderKey));
    expect(seen.length).toBeGreaterThanOrEqual(3);
    expect((await order(['list', '--domain', 'nobody.example'])).stdout).toBe('There are no such orders.\n');
    expect(JSON.stringify(all)).not.toContain('ada@shop.example');

    const admin = await adminFor({ DATABASE_URL: shop.databaseUrl });
    const [{ orderKey = '' } = {}] = all.orders;
    const over = (await admin.get('/admin/orders?limit=1')).body as {
      orders: { orderKey: string }[];
      next: string;
    };
    expect(over.orders.map((one) => one.orderKey)).toEqual([orderKey]);
    const shown = (await admin.get(`/admin/orders/${orderKey}`)).body as OrderView;
    expect(shown.steps).toHaveLength(8); // those to come as well, though this process has no definition
    expect((await admin.get('/admin/orders/nobody')).status).toBe(404);
    expect((await admin.get('/admin/orders?state=lost')).status).toBe(422);
  }, 180_000);

  it('names each field that is wrong, and places nothing', async () => {
    const path = join(tmpdir(), `no-order-${process.pid}.json`);
    await writeFile(
      path,
      '{"domain": "shop.example", "email": "nobody", "items": [{"sku": "a", "quantity": 0}], "x": 1}',
    );
    const cases: [string[], unknown][] = [
      [
        ['place', '--yes', '--domain', 'no domain'],
        expect.stringMatching(/^order place: domain: .*; email: /),
      ],
      [
        ['place', '--yes', '--file', path],
        expect.stringMatching(/email: .*items\.0\.sku: .*items\.0\.quantity: .*"x"/),
      ],
      [['place', '--yes', '--file', path, ...FLAGS], 'order place: give a file or flags, not both'],
      [
        ['place', '--yes', '--file', '/nowhere.json'],
        expect.stringContaining('/nowhere.json cannot be read'),
      ],
      [['place', ...FLAGS], expect.stringContaining('there is no terminal to ask on; say --yes')],
      [['place', '--file', '-'], expect.stringContaining('say --yes')],
      [['place', '--yes', ...FLAGS, '--item', 'three'], expect.stringContaining('workspace-standard=5')],
      [['place', '--yes', ...FLAGS, '--url', 'shop'], expect.stringContaining('http:// or https://')],
    ];
    const before = (await order(['list', '--json'])).stdout;
    for (const [args, said] of cases) {
      const ended = await order(args);
      expect(complaint(ended)).toEqual(said);
      expect(ended.exitCode).toBe(2);
    }
    expect((await order(['list', '--json'])).stdout).toBe(before);
  }, 180_000);

  it('says in one line what the service refused, and that it is away', async () => {
    const { orderKey } = newOrder();
    const place = ['place', ...FLAGS, '--order-key', orderKey, '--yes', '--no-wait'];
    await order(place);
    const taken = await order(place);
    expect(complaint(taken)).toMatch(
      /^the order service answered 409: there is an order with this order key already \(placed at /,
    );
    const nobody = await order(['watch', 'nobody']);
    expect(complaint(nobody)).toBe('the order service answered 404: there is no such order (nobody)');
    const port = await freePort();
    const away = await order([...place, '--url', `http://127.0.0.1:${port}`, '--idempotency-key', 'k-1']);
    expect(away.stderr).toBe(
      `Should it be placed all the same: --idempotency-key k-1 places it once.\nthroughline: the order service at http://127.0.0.1:${port} cannot be reached: connect ECONNREFUSED 127.0.0.1:${port}\n`,
    );
    expect([taken, nobody, away].map(({ exitCode }) => exitCode)).toEqual([1, 1, 1]);
  }, 180_000);

  it('goes on watching over a restart of the service, and ends with 4 when the order is stuck', async () => {
    const { orderKey } = newOrder();
    const view = { orderKey, sagaId: 's', state: 'compensating', steps: [] };
    const events = [view, { ...view, state: 'stuck', reason: 'the card service is away' }];
    let connections = 0;
    const server = createServer((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(`event: order\ndata: ${JSON.stringify(events[Math.min(connections++, 1)])}\n\n`);
    });
    server.listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const watched = await order(['watch', orderKey, '--url', `http://127.0.0.1:${port}`]);
    expect([watched.exitCode, watched.stderr, connections]).toEqual([4, '', 2]);
    expect(watched.stdout).toMatch(/ compensating\n\S+ O-\S+ stuck: the card service is away\n$/);
  }, 180_000);
});
