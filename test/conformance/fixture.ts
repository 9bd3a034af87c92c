import { randomUUID } from 'node:crypto';
import { type ClientConfig, PubSub, type protos, v1 } from '@google-cloud/pubsub';
import { credentials } from '@grpc/grpc-js';
import { RawStream } from './raw-stream.ts';
import type { RunningTarget, Target } from './target.ts';

export type Received = protos.google.pubsub.v1.IReceivedMessage;
export type Draft = protos.google.pubsub.v1.IPubsubMessage;

export const PROJECT = 'conformance';

/** Google's clients against one target, and short ways to say what most tests say. */
export class Fixture {
  readonly client: PubSub;
  readonly publisher: v1.PublisherClient;
  readonly subscriber: v1.SubscriberClient;
  readonly #running: RunningTarget;
  readonly #streams: RawStream[] = [];

  constructor(running: RunningTarget) {
    this.#running = running;
    const [servicePath = '', port] = running.host.split(':');
    const options = { servicePath, port: Number(port), sslCreds: credentials.createInsecure() };
    const config: ClientConfig = { projectId: PROJECT, apiEndpoint: running.host, emulatorMode: true };
    this.client = new PubSub(config);
    this.publisher = new v1.PublisherClient(options);
    this.subscriber = new v1.SubscriberClient(options);
  }

  static async start(target: Target): Promise<Fixture> {
    return new Fixture(await target.start());
  }

  uniqueName(collection: 'topics' | 'subscriptions'): string {
    return `projects/${PROJECT}/${collection}/test-${randomUUID()}`;
  }

  async newTopic(fields: protos.google.pubsub.v1.ITopic = {}): Promise<string> {
    const [topic] = await this.publisher.createTopic({ ...fields, name: this.uniqueName('topics') });
    return topic.name ?? '';
  }

  async newSubscription(topic: string, fields: protos.google.pubsub.v1.ISubscription = {}): Promise<string> {
    const name = this.uniqueName('subscriptions');
    await this.subscriber.createSubscription({ ...fields, name, topic });
    return name;
  }

  async newPair(
    fields: protos.google.pubsub.v1.ISubscription = {},
  ): Promise<{ topic: string; subscription: string }> {
    const topic = await this.newTopic();
    return { topic, subscription: await this.newSubscription(topic, fields) };
  }

  /** Publishes texts or whole messages in one request; the ids in their order. */
  async publish(topic: string, ...messages: (string | Draft)[]): Promise<string[]> {
    const drafts = messages.map((message) =>
      typeof message === 'string' ? { data: Buffer.from(message) } : message,
    );
    const [response] = await this.publisher.publish({ topic, messages: drafts });
    return response.messageIds ?? [];
  }

  /** Pulls until `count` messages have come; they stay outstanding. */
  async pull(subscription: string, count: number): Promise<Received[]> {
    const received: Received[] = [];
    while (received.length < count) {
      const maxMessages = count - received.length;
      const [response] = await this.subscriber.pull({ subscription, maxMessages });
      received.push(...(response.receivedMessages ?? []));
    }
    return received;
  }

  /** What is there this instant. */
  async pullNow(subscription: string): Promise<Received[]> {
    const [response] = await this.subscriber.pull({
      subscription,
      maxMessages: 100,
      returnImmediately: true,
    });
    return response.receivedMessages ?? [];
  }

  async acknowledge(subscription: string, ...received: Received[]): Promise<void> {
    await this.subscriber.acknowledge({ subscription, ackIds: received.map(ackIdOf) });
  }

  async modifyAckDeadline(subscription: string, seconds: number, ...received: Received[]): Promise<void> {
    const ackIds = received.map(ackIdOf);
    await this.subscriber.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds: seconds });
  }

  async nack(subscription: string, ...received: Received[]): Promise<void> {
    await this.modifyAckDeadline(subscription, 0, ...received);
  }

  /** An open streaming pull, spoken to without the hand-written client. */
  stream(subscription: string, first: protos.google.pubsub.v1.IStreamingPullRequest = {}): RawStream {
    const stream = new RawStream(this.subscriber.streamingPull());
    stream.write({ subscription, streamAckDeadlineSeconds: 10, ...first });
    this.#streams.push(stream);
    return stream;
  }

  /** Cancels the stream; the call that follows on the same connection is answered after the server has noticed. */
  async hangUp(stream: RawStream, subscription: string): Promise<void> {
    stream.cancel();
    await this.subscriber.getSubscription({ subscription });
  }

  async close(): Promise<void> {
    for (const stream of this.#streams) stream.cancel();
    await Promise.all([this.client.close(), this.publisher.close(), this.subscriber.close()]);
    await this.#running.close();
  }
}

export function ackIdOf(received: Received): string {
  return received.ackId ?? '';
}

export function textOf(received: Received | undefined): string {
  return Buffer.from(received?.message?.data ?? '').toString();
}

export function textsOf(received: readonly Received[]): string[] {
  return received.map(textOf);
}

export function keyed(orderingKey: string, ...texts: string[]): Draft[] {
  return texts.map((text) => ({ data: Buffer.from(text), orderingKey }));
}
