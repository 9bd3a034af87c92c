import {
  type Attributes,
  type Context,
  type Span,
  SpanKind,
  type SpanOptions,
  trace,
} from '@opentelemetry/api';
import { type BaggageOptions, type Carrier, restoreCarrier } from './carrier.ts';
import { links, linkTo } from './links.ts';
import { count } from './meters.ts';
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
  OUTBOX_SENDS,
} from './semconv.ts';
import { deriveIds, type SpanIds, startWithIds } from './span-ids.ts';
import { tracer } from './tracer.ts';

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

/** A row of the outbox, as much as its `send` span tells of it. */
export interface OutboxSend extends Omit<SendFacts, 'name' | 'version'> {
  /** Of the row: a job that is enqueued again, because it is redriven, has another one. */
  readonly rowId: string;
  /** `workspace.set-up.v1` */
  readonly jobType: string;
  /** How often the job had been sent before. */
  readonly sends: number;
}

/**
 * Starts the `send` span of a job from the outbox. Its id follows from row, job and send: a relay that died after publishing and
 * before marking sends the job again with the same span, so that whoever got the first message finds its parent.
 */
export function startOutboxSendSpan(
  { rowId, jobType, sends, ...facts }: OutboxSend,
  parent: Context,
  options: SpanOptions = {},
): Span {
  const attributes = sends > 0 ? { [OUTBOX_SENDS]: sends + 1 } : {};
  return startWithIds(outboxSendIds(rowId, facts.jobId, sends), () =>
    startSendSpan({ ...facts, ...nameOf(jobType) }, parent, { ...options, attributes }),
  );
}

/**
 * What a `send` span from the outbox belongs to: whatever enqueued the job, however long a relay took. Work that was to be late is
 * a root, and linked to it; the order key still goes with it.
 */
export function sendOrigin(
  carrier: Carrier,
  isLate: boolean,
  baggage: BaggageOptions = {},
): { readonly parent: Context; readonly options: SpanOptions } {
  const parent = restoreCarrier(carrier, baggage);
  if (!isLate) return { parent, options: {} };
  const cause = linkTo(trace.getSpanContext(parent), 'caused-by');
  return { parent: trace.deleteSpan(parent), options: { links: links(cause) } };
}

export function outboxSendIds(rowId: string, jobId: string, sends: number): SpanIds {
  return deriveIds(`outbox/${rowId}/${jobId}/${sends}`);
}

/** `workspace.set-up.v1` → its name and version; 0 where a stranger's type says none. */
function nameOf(jobType: string): { readonly name: string; readonly version: number } {
  const [, name, version] = /^(.*)\.v(\d+)$/.exec(jobType) ?? [];
  return name === undefined ? { name: jobType, version: 0 } : { name, version: Number(version) };
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
