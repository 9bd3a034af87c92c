import { randomUUID } from 'node:crypto';
import { startOtlpReceiver } from '../../console/otlp-receiver.ts';
import { createSpanStore, type SpanStore } from '../../console/span-store.ts';
import { startEmulator } from '../../emulator/index.ts';
import { type PartnersSandbox, startPartnersSandbox } from '../../emulator/partners/sandbox.ts';
import { topology } from '../../orders/contract.ts';
import { ORDERS_MIGRATIONS } from '../../orders/storage/migrations.ts';
import { type Child, startChild } from '../../scripts/system/child.ts';
import { freePort } from '../../shared/free-port.ts';
import {
  applyTopology,
  connect,
  createBatchSink,
  type OutgoingMessage,
  type PubSubConnection,
} from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { migrate } from '../../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../../shared/storage/migrations/index.ts';
import type { SpanRecord } from '../../testing/index.ts';
import { cleanEnvironment } from './child-process.ts';
import { createTestDatabase } from './test-database.ts';

type Settings = Readonly<Record<string, string>>;

/** The reference system with as many order services and workers as a test wants, each in a process of its own. */
export interface Shop {
  readonly sandbox: PartnersSandbox;
  readonly store: SpanStore;
  /** Every span that arrived, in order, of orders and of nobody. */
  readonly received: readonly SpanRecord[];
  readonly databaseUrl: string;
  readonly emulatorHost: string;
  readonly connection: PubSubConnection;
  /** The first service listens where customers come back to; further ones on any port. */
  startService(settings?: Settings): Promise<Child<{ readonly url: string }>>;
  startWorker(settings?: Settings): Promise<Child<object>>;
  /** A relay in a process of its own, for services that run with `THROUGHLINE_RELAY=off`. */
  startRelay(settings?: Settings): Promise<Child<object>>;
  /** A test's own process beside them, with all that they have. */
  startAside(main: string, settings?: Settings): Promise<Child<object>>;
  /** Publishes as a stranger. */
  publish(topic: string, message: OutgoingMessage): Promise<void>;
  /** What happened at the partners for an order, in order. */
  effects(orderKey: string): string[];
  /** Ends every process, and forgets everything. */
  close(): Promise<void>;
}

export interface ShopOptions {
  /** Default: a database of its own on the server that the test files share. */
  readonly databaseUrl?: string;
  /** For every process. */
  readonly settings?: Settings;
  /** What its processes print. */
  readonly onLog?: (text: string, main: string) => void;
}

export async function startShop(options: ShopOptions = {}): Promise<Shop> {
  const own = options.databaseUrl === undefined ? await createTestDatabase() : undefined;
  const databaseUrl = options.databaseUrl ?? own?.url ?? '';
  await prepareTables(databaseUrl);
  const [emulator, sandbox] = await Promise.all([startEmulator(), startPartnersSandbox()]);
  const store = createSpanStore({ maxSpans: 200_000 });
  const received: SpanRecord[] = [];
  const receiver = await startOtlpReceiver({
    onSpans(spans) {
      received.push(...spans);
      store.add(spans);
    },
  });
  const publicPort = String(await freePort());
  const projectId = `p-${randomUUID()}`;
  const connection = await connect({ projectId, emulatorHost: emulator.host });
  await applyTopology(connection, topology);
  const strangers = createBatchSink(connection);
  const base = {
    LOG_LEVEL: 'warn',
    DATABASE_URL: databaseUrl,
    GOOGLE_CLOUD_PROJECT: projectId,
    PUBSUB_EMULATOR_HOST: emulator.host,
    PARTNERS_URL: sandbox.url,
    PUBLIC_URL: `http://127.0.0.1:${publicPort}`,
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
    OTEL_BSP_SCHEDULE_DELAY: '20',
    THROUGHLINE_SPANS: 'before-commit',
    THROUGHLINE_SIGNING_SECRET: 'only for tests, only for tests, only',
    THROUGHLINE_LEASE_MS: '5000',
    THROUGHLINE_RESEND_AFTER_MS: '5000',
    ...options.settings,
  };
  const children: Child<object>[] = [];
  let isOpen = false;
  const start = async <Ready extends object>(main: string, settings: Settings): Promise<Child<Ready>> => {
    const { onLog } = options;
    const child = await startChild<Ready>({
      main,
      env: cleanEnvironment({ ...base, ...settings }),
      onLog: onLog && ((text) => onLog(text, main)),
    });
    children.push(child);
    return child;
  };
  return {
    sandbox,
    store,
    received,
    databaseUrl,
    emulatorHost: emulator.host,
    connection,
    startService(settings = {}) {
      const port = isOpen ? '0' : publicPort;
      isOpen = true;
      const own = { OTEL_SERVICE_NAME: 'order-service', PORT: port, ...settings };
      return start('orders/order-service-main.ts', own);
    },
    startWorker: (settings = {}) =>
      start('orders/worker-main.ts', {
        OTEL_SERVICE_NAME: 'order-worker',
        THROUGHLINE_RELAY: 'off',
        ...settings,
      }),
    startRelay: (settings = {}) =>
      start('orders/relay-main.ts', { OTEL_SERVICE_NAME: 'order-relay', ...settings }),
    startAside: (main, settings = {}) => start(main, settings),
    async publish(topic, message) {
      await strangers.publish(topic, [message]);
    },
    effects: (orderKey) => sandbox.effects(orderKey).map(({ partner, effect }) => `${partner}/${effect}`),
    async close() {
      await Promise.all(children.map((child) => child.kill()));
      await strangers.close();
      await connection.close();
      await Promise.all([sandbox.close(), emulator.close(), receiver.close()]);
      await own?.close();
    },
  };
}

async function prepareTables(connectionString: string): Promise<void> {
  const database = openDatabase({ connectionString, maxConnections: 1 });
  try {
    for (const set of [THROUGHLINE_MIGRATIONS, ORDERS_MIGRATIONS]) await migrate(database, set);
  } finally {
    await database.close();
  }
}
