import { randomBytes } from 'node:crypto';
import { startOtlpReceiver } from '../../console/otlp-receiver.ts';
import { createSpanStore, type SpanStore } from '../../console/span-store.ts';
import { createSandboxClient, type SandboxClient } from '../../emulator/partners/sandbox-client.ts';
import { topology } from '../../orders/contract.ts';
import { ORDERS_MIGRATIONS } from '../../orders/storage/migrations.ts';
import { applyTopology, connect } from '../../shared/index.ts';
import { type Database, openDatabase } from '../../shared/storage/database.ts';
import { startEmbeddedPostgres } from '../../shared/storage/embedded.ts';
import { migrate } from '../../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../../shared/storage/migrations/index.ts';
import { startChild } from '../system/child.ts';
import type { Stops } from '../system/stops.ts';
import { freePorts } from './free-ports.ts';
import type { Act, Target } from './plan.ts';
import { startRevivable } from './revivable.ts';

/** The whole system, each part a process that can be struck. */
export interface City {
  /** Of the two order services. */
  readonly urls: readonly string[];
  readonly sandbox: SandboxClient;
  readonly store: SpanStore;
  readonly database: Database;
  /** Breaks a part and brings it back. */
  strike(act: Act): Promise<void>;
  /** Processes that ended by themselves: their last words. */
  readonly deaths: readonly string[];
}

const PROJECT = 'throughline-chaos';

export async function startCity(seed: number, stops: Stops, onLog?: (text: string) => void): Promise<City> {
  const deaths: string[] = [];
  const store = createSpanStore({ maxSpans: 2_000_000 });
  const receiver = await startOtlpReceiver({ onSpans: (spans) => store.add(spans) });
  stops.add(receiver.close);
  const postgres = await startEmbeddedPostgres();
  stops.add(postgres.close);
  const database = openDatabase({ connectionString: postgres.url, maxConnections: 4 });
  stops.add(database.close);
  for (const set of [THROUGHLINE_MIGRATIONS, ORDERS_MIGRATIONS]) await migrate(database, set);
  const [first = 0, second = 0, emulatorPort = 0] = await freePorts(3);
  const shared = { ...process.env, LOG_LEVEL: 'warn', OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint };
  const partners = await stops.child(
    startChild<{ url: string }>({
      main: 'scripts/partners-main.ts',
      env: { ...shared, OTEL_SERVICE_NAME: 'partners', PORT: '0', THROUGHLINE_SANDBOX_SEED: String(seed) },
      onLog,
    }),
  );
  const env = {
    ...shared,
    GOOGLE_CLOUD_PROJECT: PROJECT,
    PUBSUB_EMULATOR_HOST: `127.0.0.1:${emulatorPort}`,
    DATABASE_URL: postgres.url,
    PARTNERS_URL: partners.ready.url,
    PUBLIC_URL: `http://127.0.0.1:${first}`,
    THROUGHLINE_SIGNING_SECRET: randomBytes(32).toString('hex'),
    OTEL_BSP_SCHEDULE_DELAY: '50',
    ...IMPATIENT,
  };
  const revivable = async (main: string, own: Record<string, string>, onStarted?: () => Promise<void>) => {
    const part = await startRevivable({
      main,
      env: { ...env, ...own },
      onLog,
      onDied: (error) => deaths.push(String(error)),
      ...(onStarted && { onStarted }),
    });
    stops.add(part.stop);
    return part;
  };
  const topics = () => prepareTopics(`127.0.0.1:${emulatorPort}`);
  const emulator = await revivable(
    'scripts/chaos/emulator-process.ts',
    { PORT: String(emulatorPort) },
    topics,
  );
  const service = (port: number) =>
    revivable('orders/order-service-main.ts', { OTEL_SERVICE_NAME: 'order-service', PORT: String(port) });
  const worker = () => revivable('orders/worker-main.ts', { OTEL_SERVICE_NAME: 'order-worker' });
  const [service1, service2, worker1, worker2, relay] = await Promise.all([
    service(first),
    service(second),
    worker(),
    worker(),
    revivable('orders/relay-main.ts', { OTEL_SERVICE_NAME: 'order-relay' }),
  ]);
  const parts: Readonly<Record<Exclude<Target, 'postgres'>, typeof relay>> = {
    'order-service-1': service1,
    'order-service-2': service2,
    'worker-1': worker1,
    'worker-2': worker2,
    relay,
    emulator,
  };
  return {
    urls: [first, second].map((port) => `http://127.0.0.1:${port}`),
    sandbox: createSandboxClient(partners.ready.url),
    store,
    database,
    deaths,
    async strike({ target, awayMs, how }) {
      if (target !== 'postgres') return parts[target].strike(awayMs);
      await postgres.stop(how === 'kill' ? 'immediate' : 'fast');
      await new Promise((resolve) => setTimeout(resolve, awayMs));
      await postgres.start();
    },
  };
}

/** What was in a dead process's hands shall be taken over while somebody watches, and no span may be lost with it. */
const IMPATIENT = {
  THROUGHLINE_SPANS: 'before-commit',
  THROUGHLINE_LEASE_MS: '2000',
  THROUGHLINE_RESEND_AFTER_MS: '3000',
  THROUGHLINE_3DS_TIMEOUT_MS: '6000',
  THROUGHLINE_RELAY: 'off',
};

async function prepareTopics(emulatorHost: string): Promise<void> {
  const connection = await connect({ projectId: PROJECT, emulatorHost });
  await applyTopology(connection, topology).finally(() => connection.close());
}
