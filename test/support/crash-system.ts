import { randomUUID } from 'node:crypto';
import { topology } from '../../orders/contract.ts';
import { createOrderClient, type OrderClient } from '../../orders/http/order-client.ts';
import { ORDERS_MIGRATIONS } from '../../orders/storage/migrations.ts';
import { type Child, startChild } from '../../scripts/system/child.ts';
import { freePort } from '../../shared/free-port.ts';
import { applyTopology, connect, type PubSubConnection } from '../../shared/index.ts';
import type { Database } from '../../shared/storage/database.ts';
import { migrate } from '../../shared/storage/migrate.ts';
import { createArrivals } from '../../shared/trace/arrivals.ts';
import { cleanEnvironment } from './child-process.ts';
import type { CrashStage } from './crash-stage.ts';
import { PATIENCE_MS } from './patience.ts';
import { type PgGate, startPgGate } from './pg-gate.ts';
import { createTestDatabase } from './test-database.ts';

/** Who can be killed. The relay of the outbox runs in the order service. */
export type Role = 'order-service' | 'worker';

const MAINS: Readonly<Record<Role, string>> = {
  'order-service': 'orders/order-service-main.ts',
  worker: 'orders/worker-main.ts',
};

/**
 * An order service and a worker as processes of their own, each with PostgreSQL behind a gate; with a database and
 * topics that no other system has.
 */
export interface CrashSystem {
  readonly stage: CrashStage;
  readonly database: Database;
  /** The way of each process to PostgreSQL. */
  readonly pg: Readonly<Record<Role, PgGate>>;
  readonly client: OrderClient;
  /** Puts the topics there again, for an emulator that has forgotten them. */
  applyTopology(): Promise<void>;
  processOf(role: Role): Child<object>;
  /** Resolves when the process that runs now has logged this message. */
  logged(role: Role, message: string): Promise<void>;
  /** SIGKILL, and the same again from the start. Resolves when the new one is ready. */
  crash(role: Role): Promise<void>;
  close(): Promise<void>;
}

export async function startCrashSystem(stage: CrashStage): Promise<CrashSystem> {
  const db = await createTestDatabase();
  await migrate(db.database, ORDERS_MIGRATIONS);
  const connection = await connect({ projectId: `p-${randomUUID()}`, emulatorHost: stage.emulator.host });
  await applyTopology(connection, topology);
  const pg = { 'order-service': await startPgGate(db.url), worker: await startPgGate(db.url) };
  const port = await freePort();
  const logs = { 'order-service': '', worker: '' };
  const arrivals = createArrivals(() => Object.values(logs).join('\n'));
  const start = (role: Role) => {
    logs[role] = '';
    return startChild({
      main: MAINS[role],
      env: environment(stage, connection, role, { port, url: pg[role].url }),
      onLog: (text) => {
        logs[role] += text;
        arrivals.notify();
      },
    });
  };
  const [orderService, worker] = await Promise.all([start('order-service'), start('worker')]);
  const processes = { 'order-service': orderService, worker };
  return {
    stage,
    database: db.database,
    pg,
    client: createOrderClient(`http://127.0.0.1:${port}`),
    async applyTopology() {
      await applyTopology(connection, topology);
    },
    processOf: (role) => processes[role],
    async logged(role, message) {
      const line = `"msg":${JSON.stringify(message)}`;
      await arrivals.waitFor(() => logs[role].includes(line), { timeoutMs: PATIENCE_MS });
    },
    async crash(role) {
      await processes[role].kill();
      processes[role] = await start(role);
    },
    async close() {
      await Promise.all(Object.values(processes).map((process) => process.kill()));
      await Promise.all(Object.values(pg).map((gate) => gate.close()));
      await connection.close();
      await db.close();
    },
  };
}

/** Short times, so that what a crash left behind is soon taken over. */
function environment(
  stage: CrashStage,
  { projectId }: PubSubConnection,
  role: Role,
  { port, url }: { readonly port: number; readonly url: string },
): NodeJS.ProcessEnv {
  return cleanEnvironment({
    LOG_LEVEL: 'info',
    GOOGLE_CLOUD_PROJECT: projectId,
    PUBSUB_EMULATOR_HOST: stage.emulator.host,
    DATABASE_URL: url,
    PARTNERS_URL: stage.gate.url,
    PORT: String(port),
    OTEL_SERVICE_NAME: role,
    OTEL_EXPORTER_OTLP_ENDPOINT: stage.receiver.endpoint,
    OTEL_BSP_SCHEDULE_DELAY: '50',
    THROUGHLINE_SPANS: 'before-commit',
    THROUGHLINE_SIGNING_SECRET: 'only for tests, only for tests, only',
    THROUGHLINE_LEASE_MS: '1000',
    THROUGHLINE_RESEND_AFTER_MS: '1500',
    THROUGHLINE_ACK_DEADLINE_MS: '10000',
    THROUGHLINE_RELAY: role === 'order-service' ? 'embedded' : 'off',
  });
}
