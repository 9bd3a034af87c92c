import { SpanKind, type SpanOptions } from '@opentelemetry/api';
import { decodePayload } from '../../shared/job/envelope.ts';
import type { DeadLetter, Outcome, Retry } from '../../shared/job/outcome.ts';
import { backoffMs, DEFAULT_RETRY } from '../../shared/job/retry.ts';
import type { Logger } from '../../shared/log.ts';
import type { MessageSink } from '../../shared/pubsub/message-sink.ts';
import type { Transaction } from '../../shared/storage/database.ts';
import { captureCarrier } from '../../shared/trace/carrier.ts';
import { inSpan } from '../../shared/trace/in-span.ts';
import { count } from '../../shared/trace/meters.ts';
import { errorMessage, errorType } from '../../shared/trace/record-error.ts';
import {
  ERROR_TYPE,
  JOB_ID,
  MESSAGING_DESTINATION_NAME,
  MESSAGING_MESSAGE_ID,
  MESSAGING_OPERATION_NAME,
  MESSAGING_OPERATION_TYPE,
  MESSAGING_SUBSCRIPTION_NAME,
  MESSAGING_SYSTEM,
  MESSAGING_SYSTEM_GCP_PUBSUB,
  messagingSpanName,
} from '../../shared/trace/semconv.ts';
import { toDeadLetter } from '../dead-letter.ts';
import { type Delivery, type Middleware, unfenced } from '../delivery.ts';
import type { Inbox } from '../inbox.ts';
import { tellUnmarkedSend } from '../unmarked-send.ts';
import { handBack, isNoFailure, UNRECORDED_RETRY_MS } from './hand-back.ts';
import { tellBefore } from './tracing.ts';

export interface DeadLettersOptions {
  readonly sink: MessageSink;
  /** Short name of the dead-letter topic. */
  readonly topic: string;
  readonly logger: Logger | undefined;
  readonly inbox?: Inbox | undefined;
}

/**
 * Sends what is given up to the dead-letter topic with its reason, and runs the job's own `onDeadLetter`.
 *
 * When either fails the delivery is retried instead: a message is acked only once its death is on record. Without an
 * inbox `onDeadLetter` runs first, and may therefore run twice; give what it publishes job ids that follow from the dead
 * job's. With one it runs last, in the transaction that records the death.
 */
export function deadLetters(options: DeadLettersOptions): Middleware {
  return (next) => async (delivery, signal) => {
    const outcome = await next(delivery, signal);
    if (outcome.kind !== 'deadLetter') return outcome;
    try {
      const { inbox } = options;
      const { claim } = delivery;
      if (!inbox || !claim) await runHook(delivery, outcome);
      await publishDeadLetter(options, delivery, outcome);
      if (inbox && claim) {
        await tellBefore(outcome);
        const unmarked = await inbox.bury(claim, outcome.reason, (tx) => runHook(delivery, outcome, tx));
        tellUnmarkedSend(delivery, unmarked);
      }
    } catch (error) {
      options.logger?.error(
        { err: error, jobId: delivery.jobId },
        'dead-lettering failed; the job will be retried',
      );
      return isNoFailure(error)
        ? handBack(errorMessage(error), UNRECORDED_RETRY_MS, error)
        : retryInstead(delivery, error);
    }
    report(options, delivery, outcome);
    return outcome;
  };
}

async function runHook(delivery: Delivery, { reason }: DeadLetter, tx?: Transaction): Promise<void> {
  const { registration, jobId, orderKey, attempt, message } = delivery;
  if (!registration?.onDeadLetter) return;
  let payload: unknown;
  try {
    payload = decodePayload(registration.job, message.data);
  } catch {
    return; // nothing that the hook could read
  }
  const hooked = { payload, jobId, orderKey, attempt, message, checkFence: unfenced };
  await registration.onDeadLetter(hooked, reason, tx);
}

async function publishDeadLetter(
  options: DeadLettersOptions,
  delivery: Delivery,
  outcome: DeadLetter,
): Promise<void> {
  const { traceparent } = captureCarrier();
  const letter = toDeadLetter(delivery.message, {
    reason: outcome.reason,
    errorType: deathType(outcome),
    attempts: delivery.attempt,
    subscription: delivery.subscription,
    traceparent,
  });
  await inSpan(messagingSpanName('send', options.topic), sendSpan(options.topic, delivery), async (span) => {
    const [messageId = ''] = await options.sink.publish(options.topic, [letter]);
    span.setAttribute(MESSAGING_MESSAGE_ID, messageId);
  });
}

function sendSpan(topic: string, delivery: Delivery): SpanOptions {
  return {
    kind: SpanKind.PRODUCER,
    attributes: {
      [MESSAGING_SYSTEM]: MESSAGING_SYSTEM_GCP_PUBSUB,
      [MESSAGING_OPERATION_NAME]: 'send',
      [MESSAGING_OPERATION_TYPE]: 'send',
      [MESSAGING_DESTINATION_NAME]: topic,
      [JOB_ID]: delivery.jobId,
    },
  };
}

function report({ topic, logger }: DeadLettersOptions, delivery: Delivery, outcome: DeadLetter): void {
  const { jobId, jobType, attempt, subscription } = delivery;
  count('throughline.dead_letters', {
    [MESSAGING_SUBSCRIPTION_NAME]: subscription,
    [ERROR_TYPE]: deathType(outcome),
  });
  logger?.error({ jobId, jobType, attempt, reason: outcome.reason, topic }, 'job dead-lettered');
}

function deathType(outcome: DeadLetter): string {
  return outcome.error === undefined ? 'DEAD_LETTER' : errorType(outcome.error);
}

function retryInstead(delivery: Delivery, error: unknown): Retry {
  const policy = delivery.registration?.job.retry ?? DEFAULT_RETRY;
  const reason = `dead-lettering failed: ${errorMessage(error)}`;
  return { kind: 'retry', reason, error, afterMs: backoffMs(delivery.attempt, policy) } satisfies Outcome;
}
