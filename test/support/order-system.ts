import { randomUUID } from 'node:crypto';
import { type OtlpReceiver, startOtlpReceiver } from '../../console/otlp-receiver.ts';
import { createSpanStore, type SpanStore } from '../../console/span-store.ts';
import { type Emulator, startEmulator } from '../../emulator/index.ts';
import { type PartnersSandbox, startPartnersSandbox } from '../../emulator/partners/sandbox.ts';
import { topology } from '../../orders/contract.ts';
import { createPartners } from '../../orders/partners/partner-client.ts';
import { placeOrder } from '../../orders/place-order.ts';
import { createPublisher, type Publisher } from '../../publisher/index.ts';
import {
  applyTopology,
  connect,
  createBatchSink,
  type PubSubConnection,
  startTelemetry,
  type Telemetry,
} from '../../shared/index.ts';
import { findDisconnections, normalisedTree, type SpanRecord } from '../../testing/index.ts';
import { type OrderWorkerProcess, startOrderWorker } from './order-worker-process.ts';
import { type PartnerGate, startPartnerGate } from './partner-gate.ts';

const TIMEOUT_MS = 25_000;
/** Pub/Sub's shortest: how long a killed worker's messages stay away. */
const ACK_DEADLINE_MS = '10000';

/**
 * The order service in this process, workers in their own, and everything between them.
 *
 * One of a file's tests at a time: each gets an emulator of its own, so that nothing is left over.
 */
export class OrderSystem {
  readonly sandbox: PartnersSandbox;
  readonly gate: PartnerGate;
  readonly store: SpanStore;
  readonly publisher: Publisher;
  readonly #receiver: OtlpReceiver;
  readonly #telemetry: Telemetry;
  readonly #connection: PubSubConnection;
  #emulator: Emulator;

  private constructor(parts: {
    sandbox: PartnersSandbox;
    gate: PartnerGate;
    store: SpanStore;
    receiver: OtlpReceiver;
    connection: PubSubConnection;
    emulator: Emulator;
  }) {
    this.sandbox = parts.sandbox;
    this.gate = parts.gate;
    this.store = parts.store;
    this.#receiver = parts.receiver;
    this.#connection = parts.connection;
    this.#emulator = parts.emulator;
    this.#telemetry = startTelemetry({
      serviceName: 'order-service',
      otlpEndpoint: parts.receiver.endpoint,
      batch: { scheduledDelayMs: 20 },
    });
    this.publisher = createPublisher({ sink: createBatchSink(parts.connection), source: 'order-service' });
  }

  static async start(): Promise<OrderSystem> {
    const emulator = await startEmulator();
    const sandbox = await startPartnersSandbox();
    const gate = await startPartnerGate(sandbox);
    const store = createSpanStore({ maxSpans: 100_000 });
    const receiver = await startOtlpReceiver({ onSpans: (spans) => store.add(spans) });
    const connection = await connect({ projectId: `p-${randomUUID()}`, emulatorHost: emulator.host });
    await applyTopology(connection, topology);
    return new OrderSystem({ sandbox, gate, store, receiver, connection, emulator });
  }

  startWorker(serviceName: string): Promise<OrderWorkerProcess> {
    return startOrderWorker({
      GOOGLE_CLOUD_PROJECT: this.#connection.projectId,
      PUBSUB_EMULATOR_HOST: this.#emulator.host,
      OTEL_EXPORTER_OTLP_ENDPOINT: this.#receiver.endpoint,
      OTEL_SERVICE_NAME: serviceName,
      PARTNERS_URL: this.gate.url,
      THROUGHLINE_ACK_DEADLINE_MS: ACK_DEADLINE_MS,
    });
  }

  async place(orderKey: string): Promise<void> {
    const partners = createPartners(this.gate.url);
    const order = { orderKey, domain: 'shop.example', email: 'owner@shop.example' };
    await placeOrder(order, { publisher: this.publisher, partners });
    await this.#telemetry.flush();
  }

  /** What happened at the partners, in order. */
  effects(orderKey: string): string[] {
    return this.sandbox.effects(orderKey).map(({ partner, effect }) => `${partner}/${effect}`);
  }

  /** Resolves with the order's spans when `isEnough` of them are here and they are connected. */
  async spans(orderKey: string, isEnough: (spans: readonly SpanRecord[]) => boolean): Promise<SpanRecord[]> {
    await this.#telemetry.flush();
    return this.store.waitFor(
      (all) => {
        const spans = all.byOrder(orderKey);
        return isEnough(spans) && findDisconnections(spans, orderKey).length === 0 && spans;
      },
      { timeoutMs: TIMEOUT_MS },
    );
  }

  /** The same, as the lines of a normalised tree. */
  async story(orderKey: string, isEnough: (spans: readonly SpanRecord[]) => boolean): Promise<string[]> {
    return normalisedTree(await this.spans(orderKey, isEnough)).split('\n');
  }

  /** The emulator forgets everything and is there again, at the same place. */
  async restartEmulator(): Promise<void> {
    const { port } = this.#emulator;
    await this.#emulator.close();
    this.#emulator = await startEmulator({ port });
    await applyTopology(this.#connection, topology);
  }

  async close(): Promise<void> {
    await this.#connection.close();
    await this.#telemetry.shutdown();
    await this.#receiver.close();
    await this.gate.close();
    await this.sandbox.close();
    await this.#emulator.close();
  }
}
