import { onTestFinished } from 'vitest';
import { applyTopology, createBatchSink, type PubSubConnection, type Topology } from '../../shared/index.ts';

const AGAIN = 'test-again';

/** A queue that delivers twice: whatever is published on `topic` is published once more, byte for byte. */
export async function deliverTwice(
  connection: PubSubConnection,
  topic: string,
): Promise<{ readonly repeated: () => number }> {
  const subscription = `${topic}-again`;
  const topology: Topology = {
    topics: [],
    subscriptions: [{ name: subscription, topic, filter: `NOT attributes:"${AGAIN}"` }],
  };
  await applyTopology(connection, topology);
  const sink = createBatchSink(connection);
  const path = `projects/${connection.projectId}/subscriptions/${subscription}`;
  let isOver = false;
  let repeated = 0;
  const loop = async () => {
    while (!isOver) {
      const [{ receivedMessages }] = await connection.subscriber.pull({
        subscription: path,
        maxMessages: 500,
      });
      const messages = receivedMessages ?? [];
      if (messages.length === 0) continue;
      await sink.publish(
        topic,
        messages.map(({ message }) => ({
          data: Buffer.from(message?.data ?? ''),
          attributes: { ...message?.attributes, [AGAIN]: 'yes' },
        })),
      );
      await connection.subscriber.acknowledge({
        subscription: path,
        ackIds: messages.map(({ ackId }) => ackId ?? ''),
      });
      repeated += messages.length;
    }
  };
  const running = loop().catch((error) => {
    if (!isOver) throw error;
  });
  onTestFinished(async () => {
    isOver = true;
    await running;
  });
  return { repeated: () => repeated };
}
