import { context, type Link, propagation, type Span, SpanKind, trace } from '@opentelemetry/api';
import { CE_ID } from '../../shared/job/envelope.ts';
import type { StoredMessage } from '../../shared/job/stored-message.ts';
import { MessageLimitError, withoutReservedAttributes } from '../../shared/pubsub/limits.ts';
import { isStorable } from '../../shared/storable.ts';
import type { Database, Transaction } from '../../shared/storage/database.ts';
import { type Carrier, captureCarrier, spanContextOf } from '../../shared/trace/carrier.ts';
import { inSpan } from '../../shared/trace/in-span.ts';
import { links, linkTo } from '../../shared/trace/links.ts';
import { count } from '../../shared/trace/meters.ts';
import { withOrderKey } from '../../shared/trace/order-key.ts';
import { DEAD_LETTER_ID, JOB_ID, MESSAGING_DESTINATION_NAME, ORDER_KEY } from '../../shared/trace/semconv.ts';
import { NotSendableError } from './errors.ts';
import type { LetterView } from './find.ts';
import { checkOperator, knownLetter, lockOpen, type Operator, settle } from './settle.ts';
import { takeBack } from './take-back.ts';

/** As much of an outbox as a redrive needs: `createMessageOutbox` of the publisher. */
export interface MessageOutbox {
  /** Stores a message in the caller's transaction, in place of one of the same job. Errors: MessageLimitError. */
  enqueueMessage(tx: Transaction, message: StoredMessage): Promise<void>;
}

export interface RedriveOptions extends Operator {
  readonly letterId: string;
}

/** What became of a letter. */
export interface LetterReceipt {
  readonly letterId: string;
  readonly jobId: string;
  readonly jobType: string | undefined;
  readonly orderKey: string | undefined;
  readonly sagaId: string | undefined;
  readonly topic: string;
  /** Of the operator's span; undefined when nothing is traced. */
  readonly traceId: string | undefined;
}

/**
 * Sends a dead job again, as it was and under its id, with fresh attempts.
 *
 * R1. One transaction: the letter is marked, the inbox takes the job back, the outbox gets the message, the audit its row.
 * R2. Of two redrives at once one is refused, so that the job is sent once.
 * R3. What was cancelled stays cancelled.
 *
 * The `redrive` span is a child of the active one and linked to the dead delivery; the new `send` is its child.
 *
 * Errors: DeadLetterInputError; UnknownDeadLetterError; DeadLetterSettledError; JobCancelledError; JobDoneError; JobHeldError;
 * NotSendableError; DatabaseUnavailableError.
 */
export async function redriveDeadLetter(
  database: Database,
  outbox: MessageOutbox,
  options: RedriveOptions,
): Promise<LetterReceipt> {
  const operator = checkOperator('redrive', options);
  return redriveLetter(database, outbox, { letterId: options.letterId, operator });
}

export interface RedriveOne {
  readonly letterId: string;
  readonly operator: Required<Operator>;
  /** Of many: a trace of its own, linked to what caused it. A trace of a hundred thousand redrives can be read by nobody. */
  readonly causedBy?: Link | undefined;
}

export async function redriveLetter(
  database: Database,
  outbox: MessageOutbox,
  { letterId, operator, causedBy }: RedriveOne,
): Promise<LetterReceipt> {
  const letter = await knownLetter(database, letterId);
  const { topic } = letter;
  const receipt = await inLetterSpan(`redrive ${topic}`, letter, causedBy, async (span) => {
    await database.transaction(async (tx) => {
      await lockOpen(tx, letter); // R2
      const isFinishedByInbox = await takeBack(tx, letter); // R3
      await enqueue(tx, outbox, letter, !isFinishedByInbox);
      await settle(tx, letter, 'redrive', operator);
    });
    return receiptOf(letter, span);
  });
  count('throughline.dead_letters.redriven', { [MESSAGING_DESTINATION_NAME]: topic });
  return receipt;
}

async function enqueue(
  tx: Transaction,
  outbox: MessageOutbox,
  letter: LetterView,
  isSentOnce: boolean,
): Promise<void> {
  const { jobId, jobType, topic, orderingKey, orderKey, data } = letter;
  const attributes = toSend(letter);
  const ownId = attributes[CE_ID];
  if (ownId !== undefined && ownId !== '' && !isStorable(ownId))
    throw new NotSendableError(letter, 'its job id holds what PostgreSQL cannot store');
  const carrier = carrierOf(letter);
  try {
    await outbox.enqueueMessage(tx, {
      ...{ jobId, jobType, topic, orderingKey, orderKey, data },
      ...{ attributes, carrier, isSentOnce },
    });
  } catch (error) {
    if (!(error instanceof MessageLimitError)) throw error;
    throw new NotSendableError(letter, error.message);
  }
}

/** The relay writes the trace context; Pub/Sub refuses what is reserved. */
function toSend({ attributes }: LetterView): Record<string, string> {
  const written = new Set(['traceparent', 'tracestate', 'baggage', ...propagation.fields()]);
  const own = Object.entries(withoutReservedAttributes(attributes));
  return Object.fromEntries(own.filter(([key]) => !written.has(key)));
}

/** Where nothing is traced the new delivery goes on in the trace of the dead one, so that the order stays in one piece. */
function carrierOf({ traceparent, attributes }: LetterView): Carrier {
  const active = captureCarrier();
  if (Object.keys(active).some((key) => key !== 'baggage') || traceparent === undefined) return active;
  const { baggage } = attributes;
  return { traceparent, ...(baggage !== undefined && { baggage }) };
}

/** Runs an operator's work on a letter in a span that bears the order's key and is linked to the dead delivery. */
export function inLetterSpan<T>(
  name: string,
  { letterId, jobId, orderKey, sagaId, topic, traceparent }: LetterView,
  causedBy: Link | undefined,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const active = context.active();
  const isKey = orderKey !== undefined && orderKey.length <= MAX_ORDER_KEY_CHARS;
  // A request about one order bears its key, as every span of the order does.
  if (isKey && !causedBy) trace.getActiveSpan()?.setAttribute(ORDER_KEY, orderKey);
  const dead = traceparent === undefined ? undefined : spanContextOf({ traceparent });
  return inSpan(
    name,
    {
      kind: SpanKind.INTERNAL,
      parent: isKey ? withOrderKey(active, orderKey, sagaId) : active,
      root: causedBy !== undefined,
      attributes: { [DEAD_LETTER_ID]: letterId, [JOB_ID]: jobId, [MESSAGING_DESTINATION_NAME]: topic },
      links: links(linkTo(dead, 'dead-delivery'), causedBy),
    },
    work,
  );
}

/** It is copied to every span and log line: a stranger's message must not make those large. */
const MAX_ORDER_KEY_CHARS = 256;

export function receiptOf(
  { letterId, jobId, jobType, orderKey, sagaId, topic }: LetterView,
  span: Span,
): LetterReceipt {
  const traceId = span.isRecording() ? span.spanContext().traceId : undefined;
  return { letterId, jobId, jobType, orderKey, sagaId, topic, traceId };
}
