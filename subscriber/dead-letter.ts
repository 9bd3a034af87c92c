import { z } from 'zod';
import { checkMessage, withoutReservedAttributes } from '../shared/pubsub/limits.ts';
import type { OutgoingMessage } from '../shared/pubsub/message-sink.ts';
import type { IncomingMessage } from '../shared/pubsub/message-source.ts';

/**
 * A message that was given up, as it lies on the dead-letter topic.
 *
 * The original attributes stay beside those that explain the death. Where there is no room for both (100 attributes,
 * or some that Pub/Sub would refuse now) the original ones move into the data: one line of JSON, then the original data.
 */
export interface DeadLetterDetails {
  readonly reason: string;
  /** `error.type` of what was thrown, or `_OTHER`. */
  readonly errorType: string;
  readonly attempts: number;
  readonly subscription: string;
  /** The dead delivery's process span. */
  readonly traceparent: string | undefined;
}

export const DEAD_LETTER_REASON = 'dead-letter-reason';
export const DEAD_LETTER_ERROR_TYPE = 'dead-letter-error-type';
export const DEAD_LETTER_ATTEMPTS = 'dead-letter-attempts';
export const DEAD_LETTER_SUBSCRIPTION = 'dead-letter-subscription';
export const DEAD_LETTER_MESSAGE_ID = 'dead-letter-message-id';
export const DEAD_LETTER_TRACEPARENT = 'dead-letter-traceparent';
const FOLDED = 'dead-letter-folded';
const OWN_PREFIX = 'dead-letter-';

/** What Pub/Sub writes when it forwards a message itself. */
export const FORWARDED_DELIVERY_COUNT = 'CloudPubSubDeadLetterSourceDeliveryCount';
export const FORWARDED_SUBSCRIPTION = 'CloudPubSubDeadLetterSourceSubscription';
export const FORWARDED_PUBLISH_TIME = 'CloudPubSubDeadLetterSourceTopicPublishTime';
const FORWARDED_PREFIX = 'CloudPubSubDeadLetterSource';

const MAX_REASON_BYTES = 1_000;

/** Errors: MessageLimitError when the message is too large even so; then Pub/Sub's own forwarding has to take it. */
export function toDeadLetter(message: IncomingMessage, details: DeadLetterDetails): OutgoingMessage {
  const original = originalAttributes(message.attributes);
  const explained = explanation(message, details);
  const orderingKey = message.orderingKey ? { orderingKey: message.orderingKey } : {};
  const beside = { data: message.data, attributes: { ...original, ...explained }, ...orderingKey };
  if (fits(beside)) return beside;
  const folded = {
    data: Buffer.concat([Buffer.from(`${JSON.stringify(original)}\n`), message.data]),
    attributes: { ...explained, [FOLDED]: 'attributes' },
    ...orderingKey,
  };
  checkMessage(folded);
  return folded;
}

/** The message as it was before it died, ready to be published again. */
export function fromDeadLetter(
  dead: Pick<IncomingMessage, 'data' | 'attributes' | 'orderingKey'>,
): OutgoingMessage {
  const orderingKey = dead.orderingKey ? { orderingKey: dead.orderingKey } : {};
  const { data, attributes } = unburied(dead);
  return { data, attributes: withoutReservedAttributes(attributes), ...orderingKey };
}

/** Data and attributes of the message that died, those included that Pub/Sub would refuse from a publisher. */
export function unburied({
  data,
  attributes,
}: Pick<IncomingMessage, 'data' | 'attributes'>): Pick<OutgoingMessage, 'data' | 'attributes'> {
  const isFolded = attributes[FOLDED] === 'attributes' && !isForwarded(attributes);
  const folded = isFolded ? unfold(Buffer.from(data)) : undefined;
  return folded ?? { data, attributes: withoutExplanation(attributes) };
}

const attributesLine = z.record(z.string(), z.string());

/** Undefined when somebody else wrote the letter, or its data was changed. */
function unfold(data: Buffer): Pick<OutgoingMessage, 'data' | 'attributes'> | undefined {
  const lineEnd = data.indexOf('\n');
  if (lineEnd < 0) return undefined;
  try {
    const attributes = attributesLine.parse(JSON.parse(data.toString('utf8', 0, lineEnd)));
    return { data: data.subarray(lineEnd + 1), attributes };
  } catch {
    return undefined;
  }
}

function originalAttributes(attributes: Readonly<Record<string, string>>): Record<string, string> {
  return withoutReservedAttributes(withoutExplanation(attributes));
}

/** The attributes without those that explain a death: of this one, or of one before. */
function withoutExplanation(attributes: Readonly<Record<string, string>>): Record<string, string> {
  const isOurs = (key: string) => !key.startsWith(OWN_PREFIX) && !key.startsWith(FORWARDED_PREFIX);
  return Object.fromEntries(Object.entries(attributes).filter(([key]) => isOurs(key)));
}

/** Whether Pub/Sub forwarded a message itself. What it says of its death otherwise is then a stranger's word. */
export function isForwarded(attributes: Readonly<Record<string, string>>): boolean {
  return Object.hasOwn(attributes, FORWARDED_SUBSCRIPTION);
}

function explanation(message: IncomingMessage, details: DeadLetterDetails): Record<string, string> {
  return {
    [DEAD_LETTER_REASON]: shorten(details.reason),
    [DEAD_LETTER_ERROR_TYPE]: shorten(details.errorType),
    [DEAD_LETTER_ATTEMPTS]: String(details.attempts),
    [DEAD_LETTER_SUBSCRIPTION]: details.subscription,
    [DEAD_LETTER_MESSAGE_ID]: message.id,
    ...(details.traceparent && { [DEAD_LETTER_TRACEPARENT]: details.traceparent }),
  };
}

function fits(message: OutgoingMessage): boolean {
  try {
    checkMessage(message);
    return true;
  } catch {
    return false;
  }
}

/**
 * Cuts at a character's boundary, so that the value stays valid UTF-8 within Pub/Sub's limit. JSON.parse, for one, quotes
 * half a surrogate pair in its message, which Pub/Sub would refuse for good.
 */
function shorten(text: string): string {
  if (Buffer.byteLength(text) <= MAX_REASON_BYTES) return text.toWellFormed();
  const cut = Buffer.from(text).subarray(0, MAX_REASON_BYTES).toString('utf8');
  return `${cut.replace(/\uFFFD+$/, '')}…`;
}
