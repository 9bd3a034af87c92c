import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Child } from '../../scripts/system/child.ts';
import { complaint, throughline } from '../cli/throughline.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { type AdminClient, createAdminClient, problemOf, startAdminProcess, TOKEN } from './admin-process.ts';

type Admin = Child<{ readonly url: string }>;

describe('access to the admin API', { timeout: 120_000 }, () => {
  let db: TestDatabase;
  let open: Admin;
  let closed: Admin;
  let client: AdminClient;
  beforeAll(async () => {
    db = await createTestDatabase();
    [open, closed] = await Promise.all([
      startAdminProcess({ DATABASE_URL: db.url, THROUGHLINE_ADMIN_TOKEN: TOKEN }),
      startAdminProcess({ DATABASE_URL: db.url }),
    ]);
    client = await createAdminClient(open.ready.url);
  });
  afterAll(async () => {
    await Promise.all([open.stop(), closed.stop()]);
    await db.close();
  });

  const ask = async (admin: Admin, path: string, authorization?: string, method = 'GET') => {
    const headers = authorization === undefined ? {} : { authorization };
    const response = await fetch(admin.ready.url + path, { method, headers });
    const { type } = (await response.json()) as { type?: string };
    return { status: response.status, type, challenge: response.headers.get('www-authenticate'), response };
  };
  const problem = (kind: string) => `urn:throughline:problem:${kind}`;

  it.each([undefined, 'Bearer ', `Bearer ${TOKEN}`, 'Bearer undefined', 'Basic eDp5'])(
    'is closed to everybody without a configured token: %s',
    async (authorization) => {
      for (const path of ['/admin', '/admin/sagas', '/admin/openapi.json', '/admin/nothing'])
        expect(await ask(closed, path, authorization)).toMatchObject({
          status: 403,
          type: problem('admin-closed'),
        });
      const acting = await ask(closed, '/admin/fences', authorization, 'POST');
      expect(acting).toMatchObject({ status: 403, type: problem('admin-closed') });
    },
  );

  it.each([
    ['none', undefined, 'token-missing'],
    ['another scheme', `Basic ${Buffer.from(`ada:${TOKEN}`).toString('base64')}`, 'token-missing'],
    ['the bare token', TOKEN, 'token-missing'],
    ['an empty one', 'Bearer ', 'token-missing'],
    ['a wrong one', `Bearer ${TOKEN.slice(0, -1)}x`, 'token-wrong'],
    ['the beginning of it', `Bearer ${TOKEN.slice(0, -1)}`, 'token-wrong'],
    ['more than it', `Bearer ${TOKEN}x`, 'token-wrong'],
    ['two', `Bearer ${TOKEN} ${TOKEN}`, 'token-missing'],
  ])('refuses a request that bears %s', async (_, authorization, kind) => {
    for (const path of ['/admin/sagas', '/admin/openapi.json', '/admin/nothing']) {
      const answer = await ask(open, path, authorization);
      expect(answer).toMatchObject({ status: 401, type: problem(kind) });
      expect(answer.challenge).toMatch(/^Bearer realm="throughline admin"/);
    }
    expect(await ask(open, '/admin/fences', authorization, 'POST')).toMatchObject({ status: 401 });
  });

  it('lets the right token pass, whatever the case of the scheme, and keeps answers out of caches', async () => {
    for (const scheme of ['Bearer', 'bearer']) {
      const { status, response } = await ask(open, '/admin/sagas', `${scheme} ${TOKEN}`);
      expect([status, response.headers.get('cache-control')]).toEqual([200, 'no-store']);
    }
    expect(await ask(open, '/admin/nothing', `Bearer ${TOKEN}`)).toMatchObject({
      status: 404,
      type: problem('not-found'),
    });
  });

  it('refuses fields that it does not know, bodies that are too large, of another type, or no JSON', async () => {
    const fence = { action: 'pause', job: 'mail.send', actor: 'ada', reason: 'why' };
    const unknown = await client.post('/admin/fences', { ...fence, force: true });
    expect([unknown.status, problemOf(unknown).errors?.[0]?.expected]).toEqual([
      422,
      expect.stringContaining('"force"'),
    ]);
    const query = await client.get('/admin/sagas?stat=stuck');
    expect([query.status, problemOf(query).errors?.[0]?.expected]).toEqual([
      422,
      expect.stringContaining('"stat"'),
    ]);
    const nobody = await client.post('/admin/fences', { ...fence, actor: ' ' });
    expect([nobody.status, problemOf(nobody).errors?.[0]?.field]).toEqual([422, 'actor']);
    const large = await client.post('/admin/fences', { ...fence, reason: 'x'.repeat(20_000) });
    expect(large.status).toBe(413);
    const form = await client.post('/admin/fences', 'action=pause', {
      'content-type': 'application/x-www-form-urlencoded',
    });
    expect(form.status).toBe(415);
    expect((await client.post('/admin/fences', '{"action":')).status).toBe(400);
    const { rows } = await db.database.query('SELECT FROM throughline.fence');
    expect(rows).toEqual([]);
  });

  it('describes every operation, each with its own name', () => {
    const operations = Object.values(client.document.paths).flatMap((path) => Object.values(path));
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    expect(operations.length).toBeGreaterThan(15);
    expect(
      operations.every(({ responses }) => responses['401'] && responses['403'] && responses['422']),
    ).toBe(true);
  });

  it('does not start without its database', async () => {
    const away = await startAdminProcess({
      DATABASE_URL: db.url.replace(/:\d+\//, ':1/'),
      THROUGHLINE_ADMIN_TOKEN: TOKEN,
    }).catch((error: Error) => error);
    expect(String(away)).toContain('PostgreSQL is not available');
  });

  it('does not start with a token that is too short', async () => {
    const ended = await throughline(['admin', 'serve'], {
      DATABASE_URL: db.url,
      THROUGHLINE_ADMIN_TOKEN: 'short',
    });
    expect([ended.exitCode, complaint(ended)]).toEqual([
      2,
      'wrong settings: THROUGHLINE_ADMIN_TOKEN: expected at least 32 characters, without spaces',
    ]);
  });
});
