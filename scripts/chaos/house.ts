import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { startOtlpReceiver } from '../../console/otlp-receiver.ts';
import { createSpanStore, type SpanStore } from '../../console/span-store.ts';
import { createSandboxClient, type SandboxClient } from '../../emulator/partners/sandbox-client.ts';
import { topology } from '../../orders/contract.ts';
import { ORDERS_MIGRATIONS } from '../../orders/storage/migrations.ts';
import { freePort } from '../../shared/free-port.ts';
import { applyTopology, connect } from '../../shared/index.ts';
import { type Database, openDatabase } from '../../shared/storage/database.ts';
import { startEmbeddedPostgres } from '../../shared/storage/embedded.ts';
import { migrate } from '../../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../../shared/storage/migrations/index.ts';
import { startChild } from '../system/child.ts';
import type { Stops } from '../system/stops.ts';
import { type Part, type PartOptions, startPart } from './part.ts';
import { type Blow, PROCESSES, type ProcessName } from './plan.ts';

/** The whole system, each part a process of its own, and a way to hit it. */
export interface House {
  /** Of the order services. */
  readonly urls: readonly [string, string];
  readonly sandbox: SandboxClient;
  readonly store: SpanStore;
  readonly database: Database;
  /** Takes a part away and gives it back. Resolves when it is there again. */
  suffer(blow: Blow): Promise<void>;
  /** Resolves when every part is there. */
  healthy(): Promise<void>;
}

export interface HouseOptions {
  /** Of the partners' faults, which strike by chance. */
  readonly seed: number;
  readonly stops: Stops;
  readonly onUnwanted: PartOptions['onUnwanted'];
}

const PROJECT = 'throughline-chaos';
const MAX_SPANS = 5_000_000;
/** How long a customer may take at the bank, in ms. */
const BANK_TIMEOUT_MS = '4000';

export async function buildHouse({ seed, stops, onUnwanted }: HouseOptions): Promise<House> {
  const store = createSpanStore({ maxSpans: MAX_SPANS });
  const receiver = await startOtlpReceiver({ onSpans: (spans) => store.add(spans) });
  stops.add(receiver.close);
  const postgres = await startEmbeddedPostgres();
  stops.add(postgres.close);
  const database = openDatabase({ connectionString: postgres.url, maxConnections: 2 });
  stops.add(database.close);
  for (const set of [THROUGHLINE_MIGRATIONS, ORDERS_MIGRATIONS]) await migrate(database, set);
  const base = { ...process.env, LOG_LEVEL: 'fatal', OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint };
  const partners = await stops.child(
    startChild<{ url: string }>({
      main: 'scripts/partners-main.ts',
      args: [`${seed}`],
      env: { ...base, OTEL_SERVICE_NAME: 'partners', PORT: '0' },
    }),
  );
  const [emulatorPort, firstPort, secondPort] = [await freePort(), await freePort(), await freePort()];
  const emulatorHost = `127.0.0.1:${emulatorPort}`;
  const keep = async (options: Omit<PartOptions, 'onUnwanted'>): Promise<Part> => {
    const part = await startPart({ ...options, onUnwanted });
    stops.add(part.stop);
    return part;
  };
  const emulator = await keep({
    name: 'emulator',
    start: () => startChild({ main: 'emulator/main.ts', args: ['--port', `${emulatorPort}`], env: base }),
    // It has forgotten everything: whoever operates it makes the topics again.
    onReady: () => makeTopics(emulatorHost),
  });
  const ports: Partial<Record<ProcessName, number>> = {
    'order-service-1': firstPort,
    'order-service-2': secondPort,
  };
  const urls = [`http://127.0.0.1:${firstPort}`, `http://127.0.0.1:${secondPort}`] as const;
  const shared = {
    ...base,
    ...SETTINGS,
    GOOGLE_CLOUD_PROJECT: PROJECT,
    PUBSUB_EMULATOR_HOST: emulatorHost,
    DATABASE_URL: postgres.url,
    PARTNERS_URL: partners.ready.url,
    // One address for both, as behind a load balancer: a payment is asked for again with the same way back.
    PUBLIC_URL: urls[0],
    THROUGHLINE_SIGNING_SECRET: randomBytes(32).toString('hex'),
  };
  const started = PROCESSES.map(async (name) => {
    const env = { ...shared, OTEL_SERVICE_NAME: name, PORT: String(ports[name] ?? 0) };
    return [name, await keep({ name, start: () => startChild({ main: mainOf(name), env }) })] as const;
  });
  const parts = new Map<Blow['target'], Part>([['emulator', emulator], ...(await Promise.all(started))]);
  return {
    urls,
    sandbox: createSandboxClient(partners.ready.url),
    store,
    database,
    async suffer({ target, how, downMs }) {
      if (target !== 'postgres') return parts.get(target)?.hit(downMs);
      await postgres.stop(how === 'immediate' ? 'immediate' : 'fast');
      await delay(downMs);
      await postgres.start();
    },
    healthy: async () => {
      await Promise.all([...parts.values()].map((part) => part.ready()));
    },
  };
}

/** Short times, so that a run of minutes sees many leases end; and no process takes spans with it that others hang on. */
const SETTINGS = {
  OTEL_BSP_SCHEDULE_DELAY: '50',
  THROUGHLINE_SPANS: 'before-commit',
  THROUGHLINE_LEASE_MS: '2000',
  THROUGHLINE_RESEND_AFTER_MS: '3000',
  THROUGHLINE_ACK_DEADLINE_MS: '10000',
  THROUGHLINE_3DS_TIMEOUT_MS: BANK_TIMEOUT_MS,
  THROUGHLINE_RELAY: 'off',
};

function mainOf(name: ProcessName): string {
  if (name === 'relay') return 'orders/relay-main.ts';
  return name.startsWith('worker') ? 'orders/worker-main.ts' : 'orders/order-service-main.ts';
}

async function makeTopics(emulatorHost: string): Promise<void> {
  const connection = await connect({ projectId: PROJECT, emulatorHost });
  await applyTopology(connection, topology).finally(() => connection.close());
}
