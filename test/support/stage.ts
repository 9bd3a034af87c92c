import { randomUUID } from 'node:crypto';
import { metrics } from '@opentelemetry/api';
import { connect, type PubSubConnection, startTelemetry } from '../../shared/index.ts';
import { createSpanCollector, type SpanCollector } from '../../testing/index.ts';
import { type Channel, type ChannelOptions, createChannel } from './channel.ts';
import { createCounterReader } from './counter-reader.ts';
import type { PubSubTarget } from './pubsub-target.ts';

/** One running Pub/Sub, with telemetry that is collected: what the tests of a file share. */
export interface Stage {
  readonly host: string;
  readonly connection: PubSubConnection;
  readonly collector: SpanCollector;
  /** A topic, its worker's subscription and its dead-letter topic, all new. Closed when the test ends. */
  newChannel(options?: ChannelOptions): Promise<Channel>;
  /** Sends every ended span to the collector. */
  flush(): Promise<void>;
  /** A counter's sum over the label sets that contain `labels`. */
  counter(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  /** The label sets in which a metric has a value, be it 0. */
  labelSets(name: string): Promise<Readonly<Record<string, unknown>>[]>;
  close(): Promise<void>;
}

/** The `service.name` of what runs in the test's own process. */
export const SERVICE = 'shop';

export async function startStage(target: PubSubTarget): Promise<Stage> {
  const running = await target.start();
  const collector = createSpanCollector();
  const counters = createCounterReader();
  const telemetry = startTelemetry({
    serviceName: SERVICE,
    exporters: [collector],
    metricReaders: [counters.reader],
    batch: { scheduledDelayMs: 10 },
  });
  const connection = await connect({ projectId: `p-${randomUUID()}`, emulatorHost: running.host });
  const stage: Stage = {
    host: running.host,
    connection,
    collector,
    newChannel: (options) => createChannel(stage, options),
    flush: () => telemetry.flush(),
    counter: counters.sum,
    labelSets: counters.labelSets,
    async close() {
      await connection.close();
      await telemetry.shutdown();
      await running.close();
      metrics.disable();
    },
  };
  return stage;
}
