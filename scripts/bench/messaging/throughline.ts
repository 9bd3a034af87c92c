import { z } from 'zod';
import { createPublisher } from '../../../publisher/index.ts';
import {
  connect,
  createBatchSink,
  createClientSource,
  createStreamingPullSource,
  defineJob,
  done,
  startTelemetry,
} from '../../../shared/index.ts';
import { createWorker } from '../../../subscriber/index.ts';
import { type Contender, payload, publishLoad } from './contender.ts';
import { createCountingExporter } from './counting-exporter.ts';

/** Unacked messages, as many as the tuned client may have. */
const FLOW = { maxOutstandingMessages: 4_000 };

/** Throughline with everything on: both spans recorded and exported, payload checked twice, outcomes classified. */
export async function throughline(emulatorHost: string, source: 'streaming' | 'client'): Promise<Contender> {
  const exporter = createCountingExporter();
  const telemetry = startTelemetry({ serviceName: 'bench', exporters: [exporter] });
  const connection = await connect({ projectId: 'bench', emulatorHost });
  const sink = createBatchSink(connection);
  const jobFor = (topic: string) =>
    defineJob({
      name: 'bench.job',
      version: 1,
      topic,
      payload: z.strictObject({
        orderKey: z.string(),
        number: z.int(),
        sentAtMs: z.number(),
        text: z.string(),
      }),
    });
  return {
    async prepare(names) {
      await connection.pubsub.createTopic(names.topic);
      await connection.pubsub.createSubscription(names.topic, names.subscription);
    },
    async publish(names, load) {
      const publisher = createPublisher({ sink, source: 'bench' });
      const job = jobFor(names.topic);
      await publishLoad(load, (number) => {
        const content = payload(number);
        return publisher.publish(job, content, { orderKey: content.orderKey });
      });
    },
    async subscribe(names, onMessage) {
      const create = source === 'streaming' ? createStreamingPullSource : createClientSource;
      const worker = createWorker({
        source: create(connection, { subscription: names.subscription, ...FLOW }),
        sink,
        topic: names.topic,
        deadLetterTopic: `${names.topic}-dead-letters`,
      });
      worker.handle(jobFor(names.topic), async (delivery) => {
        onMessage(delivery.payload);
        return done();
      });
      await worker.start();
      return {
        async stop() {
          await worker.stop();
        },
      };
    },
    async close() {
      await connection.close();
      await telemetry.shutdown();
      return exporter.count;
    },
  };
}
