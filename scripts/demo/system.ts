import { type OtlpReceiver, startOtlpReceiver } from '../../console/otlp-receiver.ts';
import { createSpanStore, type SpanStore } from '../../console/span-store.ts';
import { startGcloudEmulator } from '../../emulator/gcloud.ts';
import { startEmulator } from '../../emulator/index.ts';
import { type PartnersSandbox, startPartnersSandbox } from '../../emulator/partners/sandbox.ts';
import { topology } from '../../orders/contract.ts';
import { createPartners, type Partners } from '../../orders/partners/partner-client.ts';
import { createPublisher, type Publisher } from '../../publisher/index.ts';
import { applyTopology, type Config, connect, createBatchSink, startTelemetry } from '../../shared/index.ts';
import { checkEmulator } from '../emulator-check.ts';
import { startWorkerProcess, type WorkerProcess } from './worker-process.ts';

/** Everything that the demo runs: emulator, partners, trace store, the order service's side, and a worker process. */
export interface DemoSystem {
  readonly emulator: { readonly kind: EmulatorKind | 'yours'; readonly host: string };
  readonly publisher: Publisher;
  readonly partners: Partners;
  readonly sandbox: PartnersSandbox;
  readonly store: SpanStore;
  readonly worker: WorkerProcess;
  /** Sends this process's ended spans to the store. */
  flush(): Promise<void>;
  /** Ends everything that was started, in reverse. */
  stop(): Promise<void>;
}

export type EmulatorKind = 'embedded' | 'gcloud';

/** Spans shall reach the screen soon; the library's default of a second serves throughput. */
const SPAN_DELAY_MS = 50;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** What shells report for a program that Ctrl-C ended. */
const INTERRUPTED = 130;

export interface SystemOptions {
  readonly config: Config;
  /** Undefined: the emulator of PUBSUB_EMULATOR_HOST if set, else the embedded one. */
  readonly emulator: EmulatorKind | undefined;
  readonly onNotice: (text: string) => void;
}

export async function startSystem(options: SystemOptions): Promise<DemoSystem> {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const step of stops.splice(0).toReversed()) await step();
  };
  // A signal leaves nothing behind: neither the worker nor an emulator, which may be in a process group of its own.
  const interrupted = () => void stop().finally(() => process.exit(INTERRUPTED));
  for (const signal of SIGNALS) process.once(signal, interrupted);
  stops.push(async () => {
    for (const signal of SIGNALS) process.off(signal, interrupted);
  });
  try {
    return { ...(await assemble(options, stops)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function assemble(
  { config, emulator: wanted, onNotice }: SystemOptions,
  stops: (() => Promise<unknown>)[],
): Promise<Omit<DemoSystem, 'stop'>> {
  const store = createSpanStore({ maxSpans: 100_000 });
  const receiver = await startReceiver(config, store, onNotice);
  stops.push(receiver.close);
  const emulator = await startPubSub(config, wanted, stops);
  const sandbox = await startPartnersSandbox();
  stops.push(sandbox.close);
  const batch = { scheduledDelayMs: SPAN_DELAY_MS };
  const telemetry = startTelemetry({ serviceName: 'order-service', otlpEndpoint: receiver.endpoint, batch });
  stops.push(telemetry.shutdown);
  const projectId = config.projectId ?? 'throughline-local';
  const connection = await connect({ projectId, emulatorHost: emulator.host });
  stops.push(connection.close);
  await applyTopology(connection, topology);
  const publisher = createPublisher({ sink: createBatchSink(connection), source: 'order-service' });
  const worker = await startWorkerProcess({
    ...process.env,
    LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'fatal',
    GOOGLE_CLOUD_PROJECT: projectId,
    PUBSUB_EMULATOR_HOST: emulator.host,
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
    OTEL_BSP_SCHEDULE_DELAY: String(SPAN_DELAY_MS),
    OTEL_SERVICE_NAME: 'order-worker',
    PARTNERS_URL: sandbox.url,
  });
  stops.push(worker.stop);
  const partners = createPartners(sandbox.url);
  return { emulator, publisher, partners, sandbox, store, worker, flush: telemetry.flush };
}

function startReceiver(
  config: Config,
  store: SpanStore,
  onNotice: (text: string) => void,
): Promise<OtlpReceiver> {
  return startOtlpReceiver({
    onSpans: (spans) => store.add(spans),
    ...(config.otlpEndpoint && { forwardTo: config.otlpEndpoint }),
    onForwardError: (error) =>
      onNotice(`spans could not be sent on to ${config.otlpEndpoint}: ${String(error)}`),
  });
}

async function startPubSub(
  config: Config,
  wanted: EmulatorKind | undefined,
  stops: (() => Promise<unknown>)[],
): Promise<DemoSystem['emulator']> {
  if (wanted === undefined && config.pubsubEmulatorHost) {
    await checkEmulator(config.pubsubEmulatorHost);
    return { kind: 'yours', host: config.pubsubEmulatorHost };
  }
  const kind = wanted ?? 'embedded';
  const emulator = kind === 'gcloud' ? await startGcloudEmulator(config) : await startEmulator();
  stops.push(emulator.close);
  return { kind, host: emulator.host };
}
