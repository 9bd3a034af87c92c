import {
  type Attributes,
  type Context,
  type Span,
  SpanKind,
  type SpanOptions,
  trace,
} from '@opentelemetry/api';
import { type BaggageOptions, type Carrier, restoreCarrier } from './carrier.ts';
import { links, linkTo, restoredLinks, type StoredLink } from './links.ts';
import { count } from './meters.ts';
import { isSampled } from './sampling.ts';
import {
  CAMPAIGN_ID,
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
  readonly campaign: string | undefined;
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
  if (facts.campaign) attributes[CAMPAIGN_ID] = facts.campaign;
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
  { carrier, links: stored, late }: SendOrigin,
  baggage: BaggageOptions = {},
): { readonly parent: Context; readonly options: SpanOptions } {
  const parent = restoreCarrier(carrier, baggage);
  const own = restoredLinks(stored);
  if (!late) return { parent, options: { links: own } };
  const cause = linkTo(trace.getSpanContext(parent), 'caused-by');
  return { parent: trace.deleteSpan(parent), options: { links: [...links(cause), ...own] } };
}

/** What a row of the outbox says of where its job comes from. */
export interface SendOrigin {
  readonly carrier: Carrier;
  readonly links: readonly StoredLink[] | null;
  /** It was due so long after it was enqueued that its send begins a trace. */
  readonly late: boolean;
}

export function outboxSendIds(rowId: string, jobId: string, sends: number): SpanIds {
  return deriveIds(`outbox/${rowId}/${jobId}/${sends}`);
}

/** `workspace.set-up.v1` → its name and version; 0 where a stranger's type says none. */
function nameOf(jobType: string): { readonly name: string; readonly version: number } {
  const [, name, version] = /^(.*)\.v(\d+)$/.exec(jobType) ?? [];
  return name === undefined ? { name: jobType, version: 0 } : { name, version: Number(version) };
}

/**
 * What a message carries. A `send` span that is not sampled is never reported: the message then names what the job was
 * enqueued in, which is, if anything goes wrong (tail.ts; the saga's journal).
 */
export function messageContext(parent: Context, span: Span): Context {
  const isTold = isSampled(span.spanContext()) || !trace.getSpanContext(parent);
  return isTold ? trace.setSpan(parent, span) : parent;
}

/**
 * The span of a relay's send, or, in an order that is not kept, one that records nothing: what a relay fails at is no failure
 * of the order's (it tries again), and nobody would ever report what such a span hangs on.
 */
export function onlyIfSampled(span: Span): Span {
  if (isSampled(span.spanContext())) return span;
  span.end();
  return trace.wrapSpanContext(span.spanContext());
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
