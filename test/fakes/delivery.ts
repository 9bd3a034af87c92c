import type { z } from 'zod';
import { defineJob, type JobDefinition } from '../../shared/job/define.ts';
import { done } from '../../shared/job/outcome.ts';
import type { IncomingMessage } from '../../shared/pubsub/message-source.ts';
import type { Delivery } from '../../subscriber/delivery.ts';

export function incoming(given: Partial<IncomingMessage> = {}): IncomingMessage {
  return {
    id: 'm1',
    data: Buffer.from('{}'),
    attributes: {},
    orderingKey: undefined,
    publishedAtMs: 0,
    receivedAtMs: 0,
    deliveryAttempt: undefined,
    ackId: 'ack-1',
    ...given,
  };
}

/** A delivery as a middleware sees it: of a job that has a handler, unless `registration` is undefined. */
export function deliveryOf(
  job: JobDefinition<z.ZodType>,
  { message, ...given }: Partial<Omit<Delivery, 'message'>> & { message?: Partial<IncomingMessage> } = {},
): Delivery {
  const defined = defineJob(job);
  return {
    message: incoming(message),
    subscription: 'jobs-worker',
    jobId: 'job-1',
    orderKey: undefined,
    jobType: defined.type,
    registration: { job: defined, run: async () => done(), onDeadLetter: undefined, limits: [] },
    attempt: 1,
    localTry: 1,
    ...given,
  };
}
