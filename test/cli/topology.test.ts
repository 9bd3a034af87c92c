import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startEmulator } from '../../emulator/index.ts';
import { JOBS_SUBSCRIPTION, topology } from '../../orders/contract.ts';
import { applyTopology, connect, type PubSubConnection } from '../../shared/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { complaint, throughline } from './throughline.ts';

describe('throughline topology', () => {
  let emulator: Awaited<ReturnType<typeof startEmulator>>;
  let connection: PubSubConnection;
  let db: TestDatabase;
  let env: Record<string, string>;
  let projects = 0;
  beforeAll(async () => {
    emulator = await startEmulator();
    db = await createTestDatabase();
  });
  beforeEach(async () => {
    projects += 1;
    const projectId = `project-${projects}`;
    connection = await connect({ projectId, emulatorHost: emulator.host });
    env = { PUBSUB_EMULATOR_HOST: emulator.host, GOOGLE_CLOUD_PROJECT: projectId };
    return () => connection.close();
  });
  afterAll(async () => {
    await emulator.close();
    await db.close();
  });
  const path = (name: string) => `projects/${connection.projectId}/subscriptions/${name}`;

  it('says what is missing with exit code 1, makes it, and finds nothing after that', async () => {
    const before = await throughline(['topology', 'diff'], env);
    expect([before.exitCode, before.stderr]).toEqual([1, '']);
    const resources = topology.topics.length + topology.subscriptions.length;
    expect(before.stdout.trimEnd().split('\n')).toHaveLength(resources);
    expect(before.stdout).toContain(`+ subscription ${JOBS_SUBSCRIPTION}\n`);

    const applied = await throughline(['topology', 'apply', '--yes', '--actor', 'ada'], {
      ...env,
      DATABASE_URL: db.url,
    });
    expect([applied.exitCode, applied.stderr]).toEqual([0, '']);
    expect(applied.stdout).toContain(`${resources} changes were made.\n`);
    const { rows } = await db.database.query(
      'SELECT actor, via, action, target FROM throughline.operator_action',
    );
    expect(rows).toEqual([
      { actor: 'ada', via: 'cli', action: 'topology.apply', target: `project ${connection.projectId}` },
    ]);

    const after = await throughline(['topology', 'diff', '--json'], env);
    expect([after.exitCode, JSON.parse(after.stdout)]).toEqual([0, { isAsDeclared: true, changes: [] }]);
    const again = await throughline(['topology', 'apply', '--yes'], env);
    expect([again.exitCode, again.stdout]).toEqual([0, 'Everything is as declared.\n']);
    expect(again.stderr).toBe('DATABASE_URL is not set: no audit row is written.\n');
  }, 120_000);

  it('shows what differs field by field, and mends it', async () => {
    await applyTopology(connection, topology);
    await connection.subscriber.updateSubscription({
      subscription: { name: path(JOBS_SUBSCRIPTION), ackDeadlineSeconds: 77 },
      updateMask: { paths: ['ack_deadline_seconds'] },
    });
    const { exitCode, stdout } = await throughline(['topology', 'diff'], env);
    expect([exitCode, stdout]).toEqual([
      1,
      `~ subscription ${JOBS_SUBSCRIPTION}: ackDeadlineMs 77000 → 30000\n`,
    ]);
    await throughline(['topology', 'apply', '--yes'], env);
    expect((await throughline(['topology', 'diff'], env)).exitCode).toBe(0);
  }, 120_000);

  it('changes nothing when something cannot be changed, and says what to do', async () => {
    await applyTopology(connection, { topics: topology.topics, subscriptions: [] });
    await connection.subscriber.createSubscription({
      name: path(JOBS_SUBSCRIPTION),
      topic: `projects/${connection.projectId}/topics/workspace-jobs`,
      filter: 'attributes:mine',
    });
    const diff = JSON.parse((await throughline(['topology', 'diff', '--json'], env)).stdout);
    const conflict = diff.changes.find(({ action }: { action: string }) => action === 'conflict');
    expect(conflict).toMatchObject({
      name: JOBS_SUBSCRIPTION,
      fields: expect.arrayContaining([{ field: 'filter', from: 'attributes:mine', to: '' }]),
      advice: expect.stringMatching(
        /^Pub\/Sub lets nobody change filter of a subscription: declare one under/,
      ),
    });
    const { exitCode, stdout, stderr } = await throughline(['topology', 'apply', '--yes'], {
      ...env,
      DATABASE_URL: db.url,
    });
    expect(exitCode).toBe(1);
    const { rows } = await db.database.query('SELECT FROM throughline.operator_action WHERE target = $1', [
      `project ${connection.projectId}`,
    ]);
    expect(rows).toEqual([]);
    expect(stdout).toContain('Pub/Sub lets nobody change filter');
    expect(stderr).toContain('throughline: Pub/Sub does not let these change:');
    const [missing] = await Promise.allSettled([
      connection.subscriber.getSubscription({ subscription: path('order-results-service') }),
    ]);
    expect(missing?.status).toBe('rejected');
  }, 120_000);

  it('refuses in one line without a project, a terminal or an emulator', async () => {
    const nowhere = await throughline(['topology', 'diff'], {});
    expect([nowhere.exitCode, complaint(nowhere)]).toEqual([
      1,
      expect.stringMatching(/^no Google Cloud project/),
    ]);
    const unasked = await throughline(['topology', 'apply'], env);
    expect([unasked.exitCode, complaint(unasked)]).toEqual([
      2,
      'topology apply asks before it acts, and there is no terminal to ask on; say --yes',
    ]);
  }, 120_000);
});
