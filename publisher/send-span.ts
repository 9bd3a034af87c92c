import { type Attributes, type Context, type Span, SpanKind, type SpanOptions } from '@opentelemetry/api';
import { count } from '../shared/trace/meters.ts';
import {
  ERROR_TYPE,
  JOB_ID,
  JOB_NAME,
  JOB_VERSION,
  MESSAGING_DESTINATION_NAME,
  MESSAGING_MESSAGE_BODY_SIZE,
  MESSAGING_OPERATION_NAME,
  MESSAGING_OPERATION_TYPE,
  MESSAGING_ORDERING_KEY,
  MESSAGING_SYSTEM,
  MESSAGING_SYSTEM_GCP_PUBSUB,
  messagingSpanName,
} from '../shared/trace/semconv.ts';
import { tracer } from '../shared/trace/tracer.ts';

/** What a `send` span says of the job that is sent. */
export interface SendFacts {
  readonly topic: string;
  readonly name: string;
  readonly version: number;
  readonly jobId: string;
  readonly orderingKey: string | undefined;
  readonly bodyBytes: number;
}

/** Starts the PRODUCER span of one message; the message carries its context. */
export function startSendSpan(
  facts: SendFacts,
  parent: Context,
  { attributes: further, ...options }: SpanOptions = {},
): Span {
  const attributes: Attributes = {
    [MESSAGING_SYSTEM]: MESSAGING_SYSTEM_GCP_PUBSUB,
    [MESSAGING_OPERATION_NAME]: 'send',
    [MESSAGING_OPERATION_TYPE]: 'send',
    [MESSAGING_DESTINATION_NAME]: facts.topic,
    [JOB_NAME]: facts.name,
    [JOB_VERSION]: facts.version,
    [JOB_ID]: facts.jobId,
    [MESSAGING_MESSAGE_BODY_SIZE]: facts.bodyBytes,
    ...further,
  };
  if (facts.orderingKey) attributes[MESSAGING_ORDERING_KEY] = facts.orderingKey;
  const name = messagingSpanName('send', facts.topic);
  return tracer().startSpan(name, { kind: SpanKind.PRODUCER, attributes, ...options }, parent);
}

/** Counts a message that was sent, or that could not be. */
export function countSent(topic: string, error?: string, messages = 1): void {
  const attributes = {
    [MESSAGING_SYSTEM]: MESSAGING_SYSTEM_GCP_PUBSUB,
    [MESSAGING_OPERATION_NAME]: 'send',
    [MESSAGING_DESTINATION_NAME]: topic,
    ...(error && { [ERROR_TYPE]: error }),
  };
  count('messaging.client.sent.messages', attributes, messages);
}
