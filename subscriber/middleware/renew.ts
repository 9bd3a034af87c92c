import type { Logger } from '../../shared/log.ts';
import { withoutReservedAttributes } from '../../shared/pubsub/limits.ts';
import type { MessageSink } from '../../shared/pubsub/message-sink.ts';
import type { Delivery, Middleware } from '../delivery.ts';

export interface RenewOptions {
  readonly sink: MessageSink;
  /** Short name of the topic that the subscription reads. */
  readonly topic: string;
  /** After so many deliveries Pub/Sub itself forwards a message; undefined: never, or not known. */
  readonly maxDeliveryAttempts: () => number | undefined;
  readonly logger: Logger | undefined;
}

/**
 * Publishes a fresh copy of a paused message before so few of Pub/Sub's deliveries are left that it might give the job up
 * before the worker does. (Ordered messages wait in the worker, and keep their place.)
 *
 * Outside the claim: the copy may arrive at once, and must find it released.
 */
export function renew(options: RenewOptions): Middleware {
  return (next) => async (delivery, signal) => {
    const outcome = await next(delivery, signal);
    if (outcome.kind !== 'retry' || outcome.paused !== 'kept') return outcome;
    return (await isRenewed(options, delivery)) ? { ...outcome, paused: 'renewed' } : outcome;
  };
}

async function isRenewed(
  options: RenewOptions,
  { message, registration, jobId }: Delivery,
): Promise<boolean> {
  const { sink, topic, logger, maxDeliveryAttempts } = options;
  const { data, attributes, deliveryAttempt = 0, orderingKey } = message;
  const left = (maxDeliveryAttempts() ?? Number.POSITIVE_INFINITY) - deliveryAttempt;
  if (orderingKey || left >= (registration?.job.retry.maxAttempts ?? 0)) return false;
  try {
    await sink.publish(topic, [{ data, attributes: withoutReservedAttributes(attributes) }]);
    return true;
  } catch (error) {
    logger?.warn({ err: error, jobId }, 'the message of a paused job could not be renewed');
    return false;
  }
}
