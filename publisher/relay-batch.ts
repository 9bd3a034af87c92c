import { type Span, trace } from '@opentelemetry/api';
import { ThroughlineError } from '../shared/errors.ts';
import { grpcCodeName } from '../shared/pubsub/grpc-status.ts';
import {
  checkMessage,
  MAX_REQUEST_MESSAGES,
  MessageLimitError,
  messageBytes,
  ReservedAttributeError,
} from '../shared/pubsub/limits.ts';
import type { MessageSink, OutgoingMessage } from '../shared/pubsub/message-sink.ts';
import type { SqlClient } from '../shared/storage/sql-client.ts';
import { restoreCarrier } from '../shared/trace/carrier.ts';
import { type InjectOptions, injectContext } from '../shared/trace/message-context.ts';
import { errorMessage, errorType, recordError } from '../shared/trace/record-error.ts';
import { endedSpansSaved } from '../shared/trace/release.ts';
import { MESSAGING_MESSAGE_ID, OUTBOX_SENDS } from '../shared/trace/semconv.ts';
import { deriveIds, startWithIds } from '../shared/trace/span-ids.ts';
import { markSent, postpone, type UnsentRow } from './outbox-rows.ts';
import { countSent, startSendSpan } from './send-span.ts';

/** What became of the rows that a relay took. */
export interface RelayBatch {
  readonly taken: number;
  readonly sent: number;
  readonly failures: readonly { readonly topic: string; readonly rows: number; readonly error: unknown }[];
}

interface Outgoing {
  readonly row: UnsentRow;
  readonly span: Span;
  readonly message: OutgoingMessage;
}

export interface SendOptions {
  readonly sink: MessageSink;
  readonly timeoutMs: number;
  readonly baggageKeys?: readonly string[] | undefined;
}

/** Publishes locked rows request by request, and marks them. Errors: only PostgreSQL's. */
export async function sendBatch(
  tx: SqlClient,
  rows: readonly UnsentRow[],
  { sink, timeoutMs, baggageKeys }: SendOptions,
): Promise<RelayBatch> {
  const baggage = baggageKeys ? { baggageKeys } : {};
  const all = rows.map((row) => toOutgoing(row, baggage));
  const byTopic = [...Map.groupBy(all, ({ row }) => row.topic)];
  const results = await Promise.all(
    byTopic.map(([topic, outgoing]) => sendTopic({ sink, topic, timeoutMs }, outgoing)),
  );
  const sent = results.flatMap((result) => result.sent);
  const failures = results.flatMap((result) => result.failures);
  await endedSpansSaved();
  if (sent.length > 0) await markSent(tx, idsOf(sent));
  for (const { outgoing, error } of failures) {
    await postpone(tx, idsOf(outgoing), describe(error));
  }
  return {
    taken: rows.length,
    sent: sent.length,
    failures: failures.map(({ topic, outgoing, error }) => ({ topic, rows: outgoing.length, error })),
  };
}

interface Destination {
  readonly sink: MessageSink;
  readonly topic: string;
  readonly timeoutMs: number;
}

interface Failure {
  readonly topic: string;
  readonly outgoing: readonly Outgoing[];
  readonly error: unknown;
}

/** One request after the other: those with an ordering key must not overtake. */
async function sendTopic(
  destination: Destination,
  outgoing: readonly Outgoing[],
): Promise<{ readonly sent: readonly Outgoing[]; readonly failures: readonly Failure[] }> {
  const sent: Outgoing[] = [];
  const failures: Failure[] = [];
  const failedKeys = new Set<string>();
  const requests = inRequests(outgoing);
  for (let request = requests.shift(); request; request = requests.shift()) {
    const waiting = request.filter(
      ({ row }) => row.ordering_key !== null && failedKeys.has(row.ordering_key),
    );
    const ready = request.filter((one) => !waiting.includes(one));
    if (waiting.length > 0) {
      endFailed(destination.topic, waiting, OVERTAKING);
      failures.push({ topic: destination.topic, outgoing: waiting, error: OVERTAKING });
    }
    if (ready.length === 0) continue;
    const error = await publish(destination, ready);
    if (error === undefined) sent.push(...ready);
    else if (ready.length > 1 && isOneBadMessage(error))
      requests.unshift(...ready.map((one) => [one])); // O4
    else {
      failures.push({ topic: destination.topic, outgoing: ready, error });
      for (const { row } of ready) if (row.ordering_key !== null) failedKeys.add(row.ordering_key);
    }
  }
  return { sent, failures };
}

const OVERTAKING = new Error('an earlier job with this ordering key could not be sent');

/** As few requests as Pub/Sub's limits allow. */
function inRequests(outgoing: readonly Outgoing[]): Outgoing[][] {
  const requests: Outgoing[][] = [];
  let room = 0;
  for (const one of outgoing) {
    const bytes = messageBytes(one.message);
    const last = requests.at(-1);
    if (last && bytes <= room && last.length < MAX_REQUEST_MESSAGES) last.push(one);
    else requests.push([one]);
    room = last && bytes <= room ? room - bytes : REQUEST_BYTES - bytes;
  }
  return requests;
}

/** Below Pub/Sub's 10 MB, because the request itself takes room as well. */
const REQUEST_BYTES = 9_000_000;

/** Pub/Sub refuses a request whole, whichever of its messages is to blame. */
function isOneBadMessage(error: unknown): boolean {
  if (error instanceof MessageLimitError || error instanceof ReservedAttributeError) return true;
  return grpcCodeName(error) === 'INVALID_ARGUMENT';
}

function idsOf(outgoing: readonly Outgoing[]): string[] {
  return outgoing.map(({ row }) => row.id);
}

function describe(error: unknown): string {
  return `${errorType(error)}: ${errorMessage(error)}`;
}

/**
 * The span's id follows from row and send: a relay that died after publishing and before marking sends the row again, with
 * the same span, so that whoever got the first message finds its parent.
 */
function toOutgoing(row: UnsentRow, baggage: InjectOptions): Outgoing {
  const parent = restoreCarrier(row.carrier, baggage);
  const data = Buffer.from(row.data);
  const facts = {
    topic: row.topic,
    jobId: row.job_id,
    orderingKey: row.ordering_key ?? undefined,
    bodyBytes: data.byteLength,
    ...nameOf(row.job_type),
  };
  const further = row.sends > 0 ? { attributes: { [OUTBOX_SENDS]: row.sends + 1 } } : {};
  const span = startWithIds(deriveIds(`outbox/${row.job_id}/${row.sends}`), () =>
    startSendSpan(facts, parent, further),
  );
  const attributes = { ...row.attributes };
  injectContext(attributes, trace.setSpan(parent, span), baggage);
  return {
    row,
    span,
    message: row.ordering_key ? { data, attributes, orderingKey: row.ordering_key } : { data, attributes },
  };
}

/** `workspace.set-up.v1` → its name and version. */
function nameOf(jobType: string): { readonly name: string; readonly version: number } {
  const at = jobType.lastIndexOf('.v');
  return { name: jobType.slice(0, at), version: Number(jobType.slice(at + 2)) };
}

/** Shape: the error, or undefined when Pub/Sub has stored every message. */
async function publish(
  { sink, topic, timeoutMs }: Destination,
  outgoing: readonly Outgoing[],
): Promise<unknown> {
  const spans = outgoing.map(({ span }) => span);
  try {
    const messages = outgoing.map(({ message }) => message);
    for (const message of messages) checkMessage(message);
    const ids = await inTime(sink.publish(topic, messages), timeoutMs);
    for (const [index, span] of spans.entries())
      span.setAttribute(MESSAGING_MESSAGE_ID, ids[index] ?? '').end();
    countSent(topic, undefined, outgoing.length);
    return undefined;
  } catch (error) {
    if (outgoing.length === 1 || !isOneBadMessage(error)) endFailed(topic, outgoing, error); // else they are tried singly
    return error;
  }
}

function endFailed(topic: string, outgoing: readonly Outgoing[], error: unknown): void {
  for (const { span } of outgoing) {
    recordError(span, error);
    span.end();
  }
  countSent(topic, errorType(error), outgoing.length);
}

/** Pub/Sub did not answer in time; whether it stored the messages is not known. */
class PublishTimeoutError extends ThroughlineError {
  override readonly name = 'PublishTimeoutError';
  readonly code = 'PUBLISH_TIMEOUT';
  override readonly retryable = true;

  constructor(timeoutMs: number) {
    super(`Pub/Sub did not answer within ${timeoutMs} ms`);
  }
}

async function inTime<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new PublishTimeoutError(timeoutMs)), timeoutMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
