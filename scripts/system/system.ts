import { randomBytes } from 'node:crypto';
import { type OtlpReceiver, startOtlpReceiver } from '../../console/otlp-receiver.ts';
import { createSpanStore, type SpanStore } from '../../console/span-store.ts';
import { startGcloudEmulator } from '../../emulator/gcloud.ts';
import { startEmulator } from '../../emulator/index.ts';
import { createSandboxClient, type SandboxClient } from '../../emulator/partners/sandbox-client.ts';
import { topology } from '../../orders/contract.ts';
import { ORDERS_MIGRATIONS } from '../../orders/storage/migrations.ts';
import { applyTopology, type Config, connect } from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { startEmbeddedPostgres } from '../../shared/storage/embedded.ts';
import { migrate } from '../../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../../shared/storage/migrations/index.ts';
import { type Child, startChild } from './child.ts';
import { checkEmulator } from './emulator-check.ts';
import { createStops, type Stops } from './stops.ts';

export type EmulatorKind = 'embedded' | 'gcloud';

export interface SystemOptions {
  readonly config: Config;
  /** Undefined: the emulator of PUBSUB_EMULATOR_HOST if set, else the embedded one. */
  readonly emulator?: EmulatorKind | undefined;
  /** Where the embedded PostgreSQL keeps its data. Default: a temporary folder. */
  readonly dataDir?: string;
  /** Of the order service; 0: a free one. */
  readonly port: number;
  /** Settings for the processes, over those that follow from the parts. */
  readonly env?: Readonly<Record<string, string>>;
  readonly onNotice: (text: string) => void;
  /** Gets the processes' log lines. */
  readonly onLog?: (text: string) => void;
}

/** Everything that an order needs, on this machine: each part is the configured one, or an embedded one. */
export interface RunningSystem {
  readonly emulator: { readonly kind: EmulatorKind | 'yours'; readonly host: string };
  readonly postgres: { readonly kind: 'embedded' | 'yours'; readonly url: string };
  /** The partners' sandbox, in its own process. */
  readonly sandbox: SandboxClient;
  readonly store: SpanStore;
  readonly orderService: Child<{ readonly url: string }>;
  readonly worker: Child<object>;
  /** One more worker; ends with the system. */
  startWorker(name?: string): Promise<Child<object>>;
  /** The admin API, closed unless the configuration has its token; ends with the system. */
  startAdmin(): Promise<Child<{ readonly url: string }>>;
  /** Ends everything that was started, in reverse. May be called twice. */
  stop(): Promise<void>;
}

/** Errors: ConfigError, EmbeddedPostgresError, EmulatorUnreachableError …; then nothing is left running. */
export async function startSystem(options: SystemOptions): Promise<RunningSystem> {
  const stops = createStops();
  try {
    return { ...(await assemble(options, stops)), stop: stops.run };
  } catch (error) {
    await stops.run();
    throw error;
  }
}

async function assemble(options: SystemOptions, stops: Stops): Promise<Omit<RunningSystem, 'stop'>> {
  const { config } = options;
  const store = createSpanStore({ maxSpans: 200_000 });
  const receiver = await startReceiver(options, store);
  stops.add(receiver.close);
  const [emulator, postgres, partners] = await Promise.all([
    startPubSub(options, stops),
    startPostgres(options, stops),
    stops.child(
      startChild<{ url: string }>({
        main: 'scripts/partners-main.ts',
        env: { ...baseEnvironment(config, receiver), OTEL_SERVICE_NAME: 'partners', PORT: '0' },
        onLog: options.onLog,
      }),
    ),
  ]);
  const projectId = config.projectId ?? 'throughline-local';
  await Promise.all([prepareTopics(projectId, emulator.host), prepareTables(postgres.url)]);
  const env = {
    ...baseEnvironment(config, receiver),
    GOOGLE_CLOUD_PROJECT: projectId,
    PUBSUB_EMULATOR_HOST: emulator.host,
    DATABASE_URL: postgres.url,
    PARTNERS_URL: partners.ready.url,
    THROUGHLINE_SIGNING_SECRET: config.signingSecret ?? randomBytes(32).toString('hex'),
    ...options.env,
  };
  const startWorker = (name = 'order-worker') =>
    stops.child(
      startChild({
        main: 'orders/worker-main.ts',
        // One relay is enough for one machine: the order service's.
        env: { ...env, OTEL_SERVICE_NAME: name, THROUGHLINE_RELAY: 'off' },
        onLog: options.onLog,
      }),
    );
  const [orderService, worker] = await Promise.all([
    stops.child(
      startChild<{ url: string }>({
        main: 'orders/order-service-main.ts',
        env: { ...env, OTEL_SERVICE_NAME: 'order-service', PORT: String(options.port) },
        onLog: options.onLog,
      }),
    ),
    startWorker(),
  ]);
  const startAdmin = () =>
    stops.child(
      startChild<{ url: string }>({
        main: 'cli/main.ts',
        args: ['admin', 'serve'],
        env: { ...env, OTEL_SERVICE_NAME: 'throughline-admin' },
        onLog: options.onLog,
      }),
    );
  const sandbox = createSandboxClient(partners.ready.url);
  return { emulator, postgres, sandbox, store, orderService, worker, startWorker, startAdmin };
}

/** What the processes inherit, and where their spans go. */
function baseEnvironment(config: Config, receiver: OtlpReceiver): NodeJS.ProcessEnv {
  return { ...process.env, LOG_LEVEL: config.logLevel, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint };
}

function startReceiver({ config, onNotice }: SystemOptions, store: SpanStore): Promise<OtlpReceiver> {
  return startOtlpReceiver({
    onSpans: (spans) => store.add(spans),
    ...(config.otlpEndpoint && { forwardTo: config.otlpEndpoint }),
    onForwardError: (error) =>
      onNotice(`spans could not be sent on to ${config.otlpEndpoint}: ${String(error)}`),
  });
}

async function startPubSub(
  { config, emulator: wanted }: SystemOptions,
  stops: Stops,
): Promise<RunningSystem['emulator']> {
  if (wanted === undefined && config.pubsubEmulatorHost) {
    await checkEmulator(config.pubsubEmulatorHost);
    return { kind: 'yours', host: config.pubsubEmulatorHost };
  }
  const kind = wanted ?? 'embedded';
  const emulator =
    kind === 'gcloud' ? await startGcloudEmulator({ ...config, port: 0 }) : await startEmulator();
  stops.add(emulator.close);
  return { kind, host: emulator.host };
}

async function startPostgres(
  { config, dataDir }: SystemOptions,
  stops: Stops,
): Promise<RunningSystem['postgres']> {
  if (config.databaseUrl !== undefined) return { kind: 'yours', url: config.databaseUrl };
  const server = await startEmbeddedPostgres(dataDir === undefined ? {} : { dataDir });
  stops.add(server.close);
  return { kind: 'embedded', url: server.url };
}

async function prepareTopics(projectId: string, emulatorHost: string): Promise<void> {
  const connection = await connect({ projectId, emulatorHost });
  await applyTopology(connection, topology).finally(() => connection.close());
}

async function prepareTables(connectionString: string): Promise<void> {
  const database = openDatabase({ connectionString, maxConnections: 1 });
  try {
    for (const set of [THROUGHLINE_MIGRATIONS, ORDERS_MIGRATIONS]) await migrate(database, set);
  } finally {
    await database.close();
  }
}
