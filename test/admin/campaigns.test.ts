import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { ORDERS_MIGRATIONS } from '../../orders/storage/migrations.ts';
import { migrate } from '../../shared/storage/migrate.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { type AdminClient, adminFor, problemOf } from './admin-process.ts';

const ADA = { actor: 'ada' };
const WHY = { ...ADA, reason: 'ticket 4711' };
const definition = {
  ...{ id: 'autumn-terms', channel: 'email', category: 'terms', segments: ['customers'], perSecond: 100 },
  template: { subject: 'New terms', body: 'Dear {{firstName}}, they are new.' },
};

describe('campaigns over HTTP', { timeout: 120_000 }, () => {
  let db: TestDatabase;
  let client: AdminClient;
  beforeEach(async () => {
    db = await createTestDatabase();
    onTestFinished(() => db.close());
    await migrate(db.database, ORDERS_MIGRATIONS);
    await db.database.query(
      "INSERT INTO shop.customer (email, first_name) VALUES ('ada@example.com', 'Ada'), ('bob@example.com', NULL)",
    );
    client = await adminFor({ DATABASE_URL: db.url });
  });

  const at = (path = '') => `/admin/campaigns/autumn-terms${path}`;

  it('does with them what the command line does, and audits by which way it was', async () => {
    const created = await client.post('/admin/campaigns', { ...ADA, definition });
    expect(created).toMatchObject({ status: 200, body: { campaignId: 'autumn-terms', state: 'draft' } });
    expect(await client.get(at('/preview'))).toMatchObject({
      status: 200,
      body: {
        audience: 2,
        samples: [{ address: 'ada@example.com', body: 'Dear Ada, they are new.' }],
        unreachable: [{ problem: 'firstName: the template names what this recipient has not' }],
      },
    });
    for (const [path, body, state] of [
      ['/approve', { ...ADA, expectedCount: 2 }, 'freezing'],
      ['/start', ADA, 'freezing'],
      ['/pause', WHY, 'paused'],
      ['/resume', ADA, 'freezing'],
      ['/cancel', WHY, 'cancelled'],
    ] as const)
      expect(await client.post(at(path), body), path).toMatchObject({ status: 200, body: { state } });
    expect(await client.get(at())).toMatchObject({ status: 200, body: { state: 'cancelled', addsUp: true } });
    expect(await client.get('/admin/campaigns?state=cancelled')).toMatchObject({
      body: { campaigns: [{ campaignId: 'autumn-terms' }] },
    });
    const { rows } = await db.database.query(
      'SELECT action, actor, via FROM throughline.operator_action ORDER BY id',
    );
    expect(rows).toEqual(
      ['create', 'approve', 'start', 'pause', 'resume', 'cancel'].map((action) => ({
        ...{ action: `campaign.${action}`, actor: 'ada', via: 'http' },
      })),
    );
  });

  it('of two operators who approve at once refuses one, and says who was first', async () => {
    await client.post('/admin/campaigns', { ...ADA, definition });
    const approve = (actor: string) => client.post(at('/approve'), { actor, expectedCount: 2 });
    const answers = await Promise.all([approve('ada'), approve('grace')]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    const refused = answers.find(({ status }) => status === 409);
    expect(refused && problemOf(refused).title).toMatch(/is freezing: it was approved by (ada|grace) at /);
  });

  it('names every field of a definition that is wrong, and registers nothing', async () => {
    const wrong = { ...definition, segments: ['nobody'], perSecond: 0, color: 'red' };
    const refused = await client.post('/admin/campaigns', { ...ADA, definition: wrong });
    expect(refused.status).toBe(422);
    expect(JSON.stringify(refused.body)).toContain('perSecond');
    expect(JSON.stringify(refused.body)).toContain('color');
    const unknown = await client.post('/admin/campaigns', {
      ...ADA,
      definition: { ...definition, template: { body: 'Dear {{fristName}}' }, segments: ['customers'] },
    });
    expect(unknown.status).toBe(422);
    expect(problemOf(unknown).title).toContain('template.body: {{fristName}} is no field of the audience');
    expect(await client.get('/admin/campaigns')).toMatchObject({ body: { campaigns: [] } });
  });

  it('refuses a campaign that is not there, one that is there already, and what its state does not allow', async () => {
    expect((await client.get(at())).status).toBe(404);
    expect((await client.post(at('/start'), ADA)).status).toBe(404);
    await client.post('/admin/campaigns', { ...ADA, definition });
    expect((await client.post('/admin/campaigns', { ...ADA, definition })).status).toBe(409);
    expect((await client.post(at('/start'), ADA)).status).toBe(409);
    await client.post(at('/cancel'), WHY);
    expect(problemOf(await client.post(at('/approve'), { ...ADA, expectedCount: 2 })).title).toContain(
      'it was cancelled by ada: ticket 4711',
    );
  });
});
