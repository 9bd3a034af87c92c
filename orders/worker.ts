import type { Outbox } from '../publisher/index.ts';
import { done } from '../shared/index.ts';
import { replyToSaga, type Worker } from '../subscriber/index.ts';
import { RESULTS_TOPIC, sendNotification, setUpWorkspace, tearDownWorkspace } from './contract.ts';
import type { Partners } from './partners/partners.ts';

export interface HandlerDependencies {
  /** Carries results back to the sagas that wait for them. */
  readonly outbox: Outbox;
  readonly partners: Partners;
}

/** Only there: an answer to a topic that does not exist would wait in the outbox for ever. */
const REPLY = { topics: [RESULTS_TOPIC] };

/** Registers what the worker does for orders. A job's id is the idempotency key of what it asks of a partner, and its fence is asked first. */
export function registerOrderHandlers(worker: Worker, { outbox, partners }: HandlerDependencies): void {
  const { workspace, mail } = partners;
  worker.handle(
    ...replyToSaga(
      outbox,
      setUpWorkspace,
      async ({ payload, jobId, checkFence }, signal) => {
        const { orderKey, domain, email } = payload;
        checkFence();
        return workspace.setUp({ domain, email }, { orderKey, idempotencyKey: jobId, signal });
      },
      REPLY,
    ),
  );
  worker.handle(
    ...replyToSaga(
      outbox,
      tearDownWorkspace,
      async ({ payload, jobId, checkFence }, signal) => {
        const { orderKey, undoes } = payload;
        checkFence();
        await workspace.tearDown({ undoes }, { orderKey, idempotencyKey: jobId, signal });
      },
      REPLY,
    ),
  );
  worker.handle(sendNotification, async ({ payload, jobId, checkFence }, signal) => {
    const { orderKey, email, template } = payload;
    checkFence();
    await mail.send({ email, template }, { orderKey, idempotencyKey: jobId, signal });
    return done();
  });
}
