import { ThroughlineError } from '../errors.ts';
import type { PubSubConnection } from './connection.ts';
import { grpcCode, grpcStatus } from './grpc-status.ts';
import type { SubscriptionFacts } from './message-source.ts';

/** A worker was pointed at a subscription that is not there. */
export class SubscriptionMissingError extends ThroughlineError {
  override readonly name = 'SubscriptionMissingError';
  readonly code = 'SUBSCRIPTION_MISSING';
  readonly subscription: string;

  constructor(subscription: string, options?: ErrorOptions) {
    super(`${subscription} does not exist; apply the topology first`, options);
    this.subscription = subscription;
  }
}

/**
 * Asks for the subscription once, at start, where a missing one is a mistake and not a passing fault.
 *
 * A subscriber's role may pull without being allowed to look: then nothing is known and nothing is said.
 * Errors: SubscriptionMissingError; what else the service answers, once the client has given up retrying.
 */
export async function checkSubscription(
  connection: PubSubConnection,
  name: string,
): Promise<SubscriptionFacts | undefined> {
  try {
    const [found] = await connection.subscriber.getSubscription({ subscription: name }, { timeout: 20_000 });
    return { maxDeliveryAttempts: found.deadLetterPolicy?.maxDeliveryAttempts || undefined };
  } catch (cause) {
    const code = grpcCode(cause);
    if (code === grpcStatus.PERMISSION_DENIED) return undefined;
    if (code === grpcStatus.NOT_FOUND) throw new SubscriptionMissingError(name, { cause });
    throw cause;
  }
}
