import { ThroughlineError } from '../shared/errors.ts';
import { grpcCodeName } from '../shared/pubsub/grpc-status.ts';
import {
  checkMessage,
  MAX_REQUEST_MESSAGES,
  MessageLimitError,
  ReservedAttributeError,
} from '../shared/pubsub/limits.ts';
import type { MessageSink } from '../shared/pubsub/message-sink.ts';
import { inTime } from '../shared/time-limit.ts';
import type { InjectOptions } from '../shared/trace/message-context.ts';
import { errorMessage, errorType, recordError } from '../shared/trace/record-error.ts';
import { MESSAGING_MESSAGE_ID } from '../shared/trace/semconv.ts';
import { countSent } from '../shared/trace/send-span.ts';
import type { UnsentRow } from './outbox-rows.ts';
import { type Outgoing, rowBytes, toOutgoing } from './relay-message.ts';

export interface TopicOptions {
  readonly sink: MessageSink;
  readonly baggage: InjectOptions;
  /** When the whole batch has to be over, on the clock of `performance.now()`. */
  readonly deadlineMs: number;
  /** No request begins after this, so that each has some time. */
  readonly lastStartMs: number;
}

/** Rows that could not be sent for one reason. */
export interface TopicFailure {
  /** As it is stored and logged: `NOT_FOUND: …`. */
  readonly reason: string;
  readonly error: unknown;
  readonly rows: UnsentRow[];
}

/** What is neither sent nor failed was not tried: the time was over. */
export interface TopicResult {
  readonly topic: string;
  readonly sent: readonly UnsentRow[];
  readonly failures: readonly TopicFailure[];
  /** It was given up without having taken anything. */
  readonly isHanging: boolean;
}

/** Sends the rows of one topic, one request after the other: those with an ordering key must not overtake. */
export async function sendTopic(
  topic: string,
  rows: readonly UnsentRow[],
  options: TopicOptions,
): Promise<TopicResult> {
  const sent: UnsentRow[] = [];
  const failures = new Map<string, TopicFailure>();
  const failedKeys = new Set<string>();
  let isTimedOut = false;

  const isOver = () => isTimedOut || performance.now() > options.lastStartMs;
  const fail = (outgoing: readonly Outgoing[], error: unknown) => {
    endFailed(topic, outgoing, error);
    const reason = `${errorType(error)}: ${errorMessage(error)}`;
    const failure = failures.get(reason) ?? { reason, error, rows: [] };
    failures.set(reason, failure);
    for (const { row } of outgoing) {
      failure.rows.push(row);
      if (row.ordering_key !== null) failedKeys.add(row.ordering_key);
    }
  };
  /** Whether a row may be sent; if not, it has failed. */
  const admit = (one: Outgoing): boolean => {
    const { ordering_key: key } = one.row;
    const error = key !== null && failedKeys.has(key) ? OVERTAKING : problemOf(one);
    if (error !== undefined) fail([one], error);
    return error === undefined;
  };
  /** O4. Halves what is refused until the message to blame is alone: a few requests more, however large the batch. */
  const send = async (outgoing: readonly Outgoing[], refusal?: unknown): Promise<void> => {
    const ready = outgoing.filter(admit);
    if (ready.length === 0) return;
    if (refusal !== undefined && isOver()) return fail(ready, refusal);
    const error = await publish(topic, ready, options);
    if (error === undefined) sent.push(...ready.map(({ row }) => row));
    else if (ready.length > 1 && isOneBadMessage(error)) {
      const middle = Math.ceil(ready.length / 2);
      await send(ready.slice(0, middle), error);
      await send(ready.slice(middle), error);
    } else {
      isTimedOut = error instanceof PublishTimeoutError;
      fail(ready, error);
    }
  };

  for (const request of inRequests(rows)) {
    if (isOver()) break;
    await send(request.map((row) => toOutgoing(row, options.baggage)));
  }
  const isHanging = isTimedOut && sent.length === 0;
  return { topic, sent, failures: [...failures.values()], isHanging };
}

const OVERTAKING = new Error('an earlier job with this ordering key could not be sent');

/** As few requests as Pub/Sub's limits allow. */
function inRequests(rows: readonly UnsentRow[]): UnsentRow[][] {
  const requests: UnsentRow[][] = [];
  let room = 0;
  for (const row of rows) {
    const bytes = rowBytes(row);
    const last = requests.at(-1);
    if (last && bytes <= room && last.length < MAX_REQUEST_MESSAGES) {
      last.push(row);
      room -= bytes;
    } else {
      requests.push([row]);
      room = REQUEST_BYTES - bytes;
    }
  }
  return requests;
}

/** Below Pub/Sub's 10 MB, because the request itself takes room as well. */
const REQUEST_BYTES = 9_000_000;

/** What Pub/Sub would refuse the message for, as far as that can be told without asking it. */
function problemOf({ message }: Outgoing): unknown {
  try {
    checkMessage(message);
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Pub/Sub refuses a request whole, whichever of its messages is to blame. */
function isOneBadMessage(error: unknown): boolean {
  if (error instanceof MessageLimitError || error instanceof ReservedAttributeError) return true;
  return grpcCodeName(error) === 'INVALID_ARGUMENT';
}

/** Shape: the error, or undefined when Pub/Sub has stored every message. The spans of what failed stay open. */
async function publish(
  topic: string,
  outgoing: readonly Outgoing[],
  { sink, deadlineMs }: TopicOptions,
): Promise<unknown> {
  let ids: readonly string[];
  try {
    const messages = outgoing.map(({ message }) => message);
    const leftMs = Math.round(deadlineMs - performance.now());
    ids = await inTime(sink.publish(topic, messages), leftMs, () => {
      throw new PublishTimeoutError(leftMs);
    });
  } catch (error) {
    return error;
  }
  for (const [index, { span }] of outgoing.entries())
    span.setAttribute(MESSAGING_MESSAGE_ID, ids[index] ?? '').end();
  countSent(topic, undefined, outgoing.length);
  return undefined;
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
