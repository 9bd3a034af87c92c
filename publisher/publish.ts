import type { z } from 'zod';
import type { Job } from '../shared/job/define.ts';
import { checkNumbers } from '../shared/options.ts';
import { checkMessage, MAX_REQUEST_BYTES, MAX_REQUEST_MESSAGES } from '../shared/pubsub/limits.ts';
import type { MessageSink, OutgoingMessage } from '../shared/pubsub/message-sink.ts';
import { injectContext } from '../shared/trace/message-context.ts';
import { errorType, recordError } from '../shared/trace/record-error.ts';
import { MESSAGING_MESSAGE_ID } from '../shared/trace/semconv.ts';
import { countSent, messageContext, startSendSpan } from '../shared/trace/send-span.ts';
import type { BatchingOptions } from './batcher.ts';
import { createLanes } from './lanes.ts';
import { type PublishOptions, prepareJob } from './prepare-job.ts';
import { createWindow } from './window.ts';

export type { PublishOptions } from './prepare-job.ts';

export interface PublisherOptions {
  readonly sink: MessageSink;
  /** The publishing service, written as `ce-source`. */
  readonly source: string;
  readonly batching?: BatchingOptions;
  /** `google`: also write `googclient_traceparent`, for receivers that use Google's own tracing. Default: not. */
  readonly interop?: 'google' | undefined;
  /** Baggage members that may cross. Default: the order key and the saga's id. */
  readonly baggageKeys?: readonly string[];
}

export interface Published {
  readonly jobId: string;
  /** Pub/Sub's message id. */
  readonly messageId: string;
}

/** What to publish in bulk: a payload, and options that override those of the call. */
export interface BulkItem<Schema extends z.ZodType> extends PublishOptions {
  readonly payload: z.input<Schema>;
}

export interface Publisher {
  /**
   * Publishes one job in a `send` span and resolves once Pub/Sub has stored it.
   *
   * Calls that are not awaited one by one share requests.
   * Errors: PayloadError, MessageLimitError, ReservedAttributeError, AttributeConflictError before anything is sent;
   *         what the sink rejects with after its retries.
   */
  publish<Schema extends z.ZodType>(
    job: Job<Schema>,
    payload: z.input<Schema>,
    options?: PublishOptions,
  ): Promise<Published>;
  /**
   * Publishes many jobs in whole batches, reading `items` only as fast as they leave.
   *
   * Shape:  one result per item, in order; a failed item does not stop the others.
   * Errors: only what `items` itself throws, once the jobs that were read before have settled.
   */
  publishAll<Schema extends z.ZodType>(
    job: Job<Schema>,
    items: Iterable<BulkItem<Schema>> | AsyncIterable<BulkItem<Schema>>,
  ): Promise<PromiseSettledResult<Published>[]>;
  /**
   * Lets an ordering key go on after a message with it could not be published: until then the key's later messages are
   * rejected with OrderingKeyPausedError, because they would overtake it.
   */
  resume(job: Job, orderingKey: string): void;
  /** Waits for what is under way. The sink stays open, because others may share it. May be called twice. */
  close(): Promise<void>;
}

/** Jobs that `publishAll` holds at once: enough to fill every request under way, and a bound on memory. */
const BULK_WINDOW = 4_000;

export function createPublisher(options: PublisherOptions): Publisher {
  checkNumbers('createPublisher: batching', options.batching ?? {}, {
    maxMessages: { min: 1, max: MAX_REQUEST_MESSAGES, whole: true },
    maxBytes: { min: 1, max: MAX_REQUEST_BYTES },
    maxDelayMs: { min: 0, max: 60_000 },
    maxInFlight: { min: 1 },
  });
  const lanes = createLanes(options.sink, options.batching);

  const publish: Publisher['publish'] = async (job, payload, publishOptions = {}) => {
    const { envelope, parent, ...facts } = prepareJob(job, payload, options.source, publishOptions);
    const { jobId, orderingKey } = facts;
    const span = startSendSpan(facts, parent, publishOptions.links && { links: [...publishOptions.links] });
    try {
      injectContext(envelope.attributes, messageContext(parent, span), options);
      const message: OutgoingMessage = orderingKey ? { ...envelope, orderingKey } : envelope;
      checkMessage(message);
      const messageId = await lanes.add(job.topic, message);
      span.setAttribute(MESSAGING_MESSAGE_ID, messageId);
      countSent(job.topic);
      return { jobId, messageId };
    } catch (error) {
      recordError(span, error);
      countSent(job.topic, errorType(error));
      throw error;
    } finally {
      span.end();
    }
  };

  const publishAll: Publisher['publishAll'] = async (job, items) => {
    const results: PromiseSettledResult<Published>[] = [];
    const window = createWindow(BULK_WINDOW);
    let index = 0;
    try {
      for await (const { payload, ...itemOptions } of items) {
        const at = index++;
        await window.enter();
        publish(job, payload, itemOptions)
          .then(
            (value) => {
              results[at] = { status: 'fulfilled', value };
            },
            (reason) => {
              results[at] = { status: 'rejected', reason };
            },
          )
          .finally(window.leave);
      }
    } finally {
      await window.empty();
    }
    return results;
  };

  return {
    publish,
    publishAll,
    resume: (job, orderingKey) => lanes.resume(job.topic, orderingKey),
    close: () => lanes.drained(),
  };
}
