import { count, recordSeconds } from '../../shared/trace/meters.ts';
import {
  JOB_OUTCOME,
  MESSAGING_DESTINATION_NAME,
  MESSAGING_OPERATION_NAME,
  MESSAGING_SUBSCRIPTION_NAME,
  MESSAGING_SYSTEM,
  MESSAGING_SYSTEM_GCP_PUBSUB,
} from '../../shared/trace/semconv.ts';
import type { Middleware } from '../delivery.ts';

/** The messaging conventions' consumer metrics, with the outcome. */
export function metrics(destination: string, subscription: string): Middleware {
  const shared = {
    [MESSAGING_SYSTEM]: MESSAGING_SYSTEM_GCP_PUBSUB,
    [MESSAGING_OPERATION_NAME]: 'process',
    [MESSAGING_DESTINATION_NAME]: destination,
    [MESSAGING_SUBSCRIPTION_NAME]: subscription,
  };
  return (next) => async (delivery, signal) => {
    const startedMs = performance.now();
    const outcome = await next(delivery, signal);
    const attributes = { ...shared, [JOB_OUTCOME]: outcome.kind };
    count('messaging.client.consumed.messages', attributes);
    recordSeconds('messaging.process.duration', (performance.now() - startedMs) / 1_000, attributes);
    return outcome;
  };
}
