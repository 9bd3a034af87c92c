import { afterEach, beforeEach, expect, test } from 'vitest';
import { audit } from '../../scripts/sampling/audit.ts';
import { runLoad } from '../../scripts/sampling/load.ts';
import { connect, type PubSubConnection } from '../../shared/index.ts';
import { startTestTelemetry, type TestTelemetry } from '../fakes/telemetry.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** `npm run sampling -- --orders 20000` is the same, whole (docs/sampling.md). */
const ORDERS = 1_200;
const KEEP = 0.05;
const SLOW_MS = 1_500;

let db: TestDatabase;
let telemetry: TestTelemetry;
let connection: PubSubConnection;
let stopEmulator: () => Promise<void>;

beforeEach(async () => {
  telemetry = startTestTelemetry({ serviceName: 'shop', sampling: { keep: KEEP, slowMs: SLOW_MS } });
  db = await createTestDatabase();
  const emulator = await EMBEDDED.start();
  stopEmulator = emulator.close;
  connection = await connect({ projectId: 'sampling', emulatorHost: emulator.host });
});
afterEach(async () => {
  await connection.close();
  await stopEmulator();
  await db.close();
  await telemetry.stop();
});

test('of a load at 5 % every order in which something was the matter is told whole, and of the others those that are kept', async () => {
  const load = {
    database: db.database,
    connection,
    orders: ORDERS,
    concurrency: 100,
    slowStepMs: SLOW_MS + 100,
  };
  const { sagaIds } = await runLoad(load);
  const found = await audit({
    spans: await telemetry.spans(),
    database: db.database,
    sagaIds,
    keep: KEEP,
    slowMs: SLOW_MS,
  });
  expect(found.problems).toEqual([]);
  for (const fate of ['refused', 'job-dies', 'retried', 'step-retried', 'slow', 'job-slow'] as const)
    expect(found.kept[fate]).toEqual({ orders: expect.any(Number), kept: found.kept[fate].orders });
  expect(found.kept.refused.orders).toBeGreaterThan(10);
  expect(await telemetry.sum('throughline.sampling.dropped', { reason: 'coin' })).toBeGreaterThan(ORDERS);
  expect(await telemetry.sum('throughline.sampling.dropped', { reason: 'hold_full' })).toBe(0);
}, 180_000);
