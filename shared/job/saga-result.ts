import { z } from 'zod';
import { defineJob } from './define.ts';

/** Attributes of a job that a saga dispatched: whose step it is, and the topic on which the result is awaited. */
export const SAGA_ATTRIBUTE = 'throughline-saga';
export const SAGA_REPLY_ATTRIBUTE = 'throughline-saga-reply';

const sagaResultSchema = z.discriminatedUnion('outcome', [
  z.strictObject({
    sagaId: z.string().min(1).max(256),
    jobId: z.string().min(1).max(1024),
    outcome: z.literal('done'),
    result: z.json().optional(),
  }),
  z.strictObject({
    sagaId: z.string().min(1).max(256),
    jobId: z.string().min(1).max(1024),
    outcome: z.literal('failed'),
    error: z.strictObject({ type: z.string().max(256), message: z.string().max(2_000) }),
  }),
]);

/** What a worker tells a saga about the job that it dispatched. */
export type SagaResult = z.infer<typeof sagaResultSchema>;

/** The job that carries results back to sagas on `topic`. */
export function sagaResultJob(topic: string) {
  return defineJob({
    name: 'saga.job-result',
    version: 1,
    topic,
    payload: sagaResultSchema,
    retry: { maxAttempts: 15, minBackoffMs: 500, maxBackoffMs: 60_000 },
  });
}
