import type { Clock } from './clock.ts';
import { deadLetterBytes } from './dead-letter.ts';
import { encodePublishTime, Message, stampMessage } from './message.ts';
import { DELETED_TOPIC } from './names.ts';
import type { Draft } from './publish-request.ts';
import { alreadyExists, notFound, unavailable } from './status.ts';
import { Subscription } from './subscription.ts';
import type { SubscriptionConfig } from './subscription-config.ts';
import type { TopicConfig } from './topic-config.ts';

interface Topic {
  config: TopicConfig;
  readonly subscriptions: Set<Subscription>;
}

/** All topics and subscriptions, and the way of a message from the one to the other. */
export class Broker {
  readonly #clock: Clock;
  readonly #topics = new Map<string, Topic>();
  readonly #subscriptions = new Map<string, Subscription>();
  #subscriptionNumber = 0;
  /** Starts at the time in microseconds, so that ids do not repeat when the emulator is started again. */
  #nextMessageId: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#nextMessageId = Math.floor(clock.nowMs() * 1000);
  }

  get topicNames(): Iterable<string> {
    return this.#topics.keys();
  }

  get subscriptionNames(): Iterable<string> {
    return this.#subscriptions.keys();
  }

  createTopic(config: TopicConfig): TopicConfig {
    if (this.#topics.has(config.name)) throw alreadyExists(config.name);
    this.#topics.set(config.name, { config, subscriptions: new Set() });
    return config;
  }

  topic(name: string): TopicConfig {
    return this.#topic(name).config;
  }

  replaceTopic(config: TopicConfig): TopicConfig {
    this.#topic(config.name).config = config;
    return config;
  }

  /** Its subscriptions stay, with their backlog. */
  deleteTopic(name: string): void {
    for (const subscription of this.#topic(name).subscriptions)
      subscription.config = { ...subscription.config, topic: DELETED_TOPIC };
    this.#topics.delete(name);
  }

  subscriptionNamesOf(topic: string): string[] {
    return Array.from(this.#topic(topic).subscriptions, ({ config }) => config.name);
  }

  createSubscription(config: SubscriptionConfig): SubscriptionConfig {
    if (this.#subscriptions.has(config.name)) throw alreadyExists(config.name);
    const topic = this.#topic(config.topic);
    this.#checkDeadLetterTopic(config);
    const subscription = new Subscription({
      config,
      number: ++this.#subscriptionNumber,
      clock: this.#clock,
      forward: (message, failures) => this.#deadLetter(subscription.config, message, failures),
    });
    topic.subscriptions.add(subscription);
    this.#subscriptions.set(config.name, subscription);
    return config;
  }

  subscription(name: string): Subscription {
    const subscription = this.#subscriptions.get(name);
    if (!subscription) throw notFound(name);
    return subscription;
  }

  replaceSubscription(config: SubscriptionConfig): SubscriptionConfig {
    this.#checkDeadLetterTopic(config);
    this.subscription(config.name).config = config;
    return config;
  }

  deleteSubscription(name: string): void {
    const subscription = this.subscription(name);
    this.#subscriptions.delete(name);
    this.#topics.get(subscription.config.topic)?.subscriptions.delete(subscription);
    subscription.close(notFound(name));
  }

  /** The messages' ids, in their order. */
  publish(topicName: string, drafts: readonly Draft[]): string[] {
    const { subscriptions } = this.#topic(topicName);
    const publishedAtMs = this.#clock.nowMs();
    const time = encodePublishTime(publishedAtMs);
    return drafts.map(({ bytes, orderingKey }) => {
      const id = String(this.#nextMessageId++);
      const message = new Message(stampMessage(bytes, id, time), orderingKey, { id, publishedAtMs });
      for (const subscription of subscriptions) subscription.add(message);
      return id;
    });
  }

  close(): void {
    for (const subscription of this.#subscriptions.values())
      subscription.close(unavailable('The emulator is stopping.'));
    this.#subscriptions.clear();
    this.#topics.clear();
  }

  #deadLetter(config: SubscriptionConfig, message: Message, failures: number): boolean {
    const topic = config.deadLetterPolicy?.deadLetterTopic;
    if (!topic || !this.#topics.has(topic)) return false;
    const bytes = deadLetterBytes(message, { subscription: config.name, failures });
    this.publish(topic, [{ bytes, orderingKey: message.orderingKey }]);
    return true;
  }

  #topic(name: string): Topic {
    const topic = this.#topics.get(name);
    if (!topic) throw notFound(name);
    return topic;
  }

  #checkDeadLetterTopic({ deadLetterPolicy }: SubscriptionConfig): void {
    if (deadLetterPolicy) this.#topic(deadLetterPolicy.deadLetterTopic);
  }
}
