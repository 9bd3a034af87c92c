import { type PublishOptions, PubSub, type SubscriptionOptions } from '@google-cloud/pubsub';
import { startTelemetry, type Telemetry } from '../../../shared/index.ts';
import { type BenchPayload, type Contender, payload, publishLoad } from './contender.ts';
import { createCountingExporter } from './counting-exporter.ts';

export interface GoogleClientOptions {
  readonly tuned: boolean;
  /** The client's own OpenTelemetry tracing. */
  readonly tracing: boolean;
}

/** The same settings as Throughline has: batches of 500, 4,000 messages unacked. */
const TUNED_PUBLISH: PublishOptions = {
  batching: { maxMessages: 500, maxMilliseconds: 10, maxBytes: 4_000_000 },
};
const TUNED_SUBSCRIBE: SubscriptionOptions = { flowControl: { maxMessages: 4_000 } };

/** Google's hand-written client, as its documentation shows it. */
export function googleClient(emulatorHost: string, options: GoogleClientOptions): Contender {
  const exporter = createCountingExporter();
  let telemetry: Telemetry | undefined;
  if (options.tracing) telemetry = startTelemetry({ serviceName: 'bench', exporters: [exporter] });
  const pubsub = new PubSub({
    projectId: 'bench',
    apiEndpoint: emulatorHost,
    emulatorMode: true,
    enableOpenTelemetryTracing: options.tracing,
  });
  return {
    async prepare(names) {
      await pubsub.createTopic(names.topic);
      await pubsub.createSubscription(names.topic, names.subscription);
    },
    async publish(names, load) {
      const topic = pubsub.topic(names.topic, options.tuned ? TUNED_PUBLISH : {});
      await publishLoad(load, (number) => topic.publishMessage({ json: payload(number) }));
    },
    async subscribe(names, onMessage) {
      const subscription = pubsub.subscription(names.subscription, options.tuned ? TUNED_SUBSCRIBE : {});
      subscription.on('message', (message) => {
        onMessage(JSON.parse(message.data.toString()) as BenchPayload);
        message.ack();
      });
      return { stop: () => subscription.close() };
    },
    async close() {
      await pubsub.close();
      await telemetry?.shutdown();
      return exporter.count;
    },
  };
}
