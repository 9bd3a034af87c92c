import { decodePayload, readHeader } from '../shared/job/envelope.ts';
import { OptionsError } from '../shared/options.ts';
import type { IncomingMessage, SubscriptionFacts } from '../shared/pubsub/message-source.ts';
import { type Delivery, type Handler, type Registration, unfenced } from './delivery.ts';
import { UnknownJobError } from './errors.ts';

/** A message and how often it was tried: in all, and since it arrived here. Both count from 1. */
export interface Arrival {
  readonly message: IncomingMessage;
  readonly deliveryNumber: number;
  readonly localTry: number;
}

/** What an arrival is, told by its attributes and by how often it was tried. */
export function toDelivery(
  { message, deliveryNumber, localTry }: Arrival,
  subscription: string,
  registrations: ReadonlyMap<string, Registration>,
): Delivery {
  const { type, jobId, orderKey } = readHeader(message.attributes);
  return {
    message,
    subscription,
    jobId: jobId ?? message.id,
    orderKey,
    jobType: type,
    registration: type === undefined ? undefined : registrations.get(type),
    attempt: deliveryNumber + localTry - 1,
    localTry,
  };
}

/** The innermost handler: checks the payload and calls the job's own. */
export function dispatch(registrations: ReadonlyMap<string, Registration>): Handler {
  return async (delivery, signal) => {
    const { registration, message, jobId, jobType, orderKey, attempt, checkFence = unfenced } = delivery;
    if (!registration) throw new UnknownJobError(jobType, [...registrations.keys()]);
    const payload = decodePayload(registration.job, message.data);
    return registration.run({ payload, jobId, orderKey, attempt, message, checkFence }, signal);
  };
}

/** Pub/Sub's own forwarding knows no reason and runs no `onDeadLetter`: the worker has to be the first to give up. */
export function checkAttempts(
  registrations: ReadonlyMap<string, Registration>,
  { maxDeliveryAttempts = Number.POSITIVE_INFINITY }: SubscriptionFacts,
): void {
  const problems = [...registrations.values()]
    .filter(({ job }) => job.retry.maxAttempts >= maxDeliveryAttempts)
    .map(
      ({ job }) =>
        `${job.type}: maxAttempts ${job.retry.maxAttempts}, but Pub/Sub forwards after ${maxDeliveryAttempts}`,
    );
  if (problems.length > 0)
    throw new OptionsError("the subscription's maxDeliveryAttempts is too low", problems);
}
