import { ThroughlineError } from '../errors.ts';
import type { OutgoingMessage } from './message-sink.ts';

/**
 * Pub/Sub's own limits, checked before publishing.
 *
 * Source: Pub/Sub "Quotas and limits", resource limits.
 */
export const MAX_ATTRIBUTES = 100;
export const MAX_ATTRIBUTE_KEY_BYTES = 256;
export const MAX_ATTRIBUTE_VALUE_BYTES = 1024;
export const MAX_MESSAGE_BYTES = 10_000_000;
export const MAX_ORDERING_KEY_BYTES = 1024;
export const MAX_REQUEST_BYTES = 10_000_000;
export const MAX_REQUEST_MESSAGES = 1000;

/** Pub/Sub refuses attributes with this prefix from publishers, except those that Google's own clients write. */
const RESERVED_PREFIX = /^goog/i;
const WRITTEN_BY_GOOGLE_CLIENTS = /^googclient_(traceparent|tracestate)$/;

/** A message that Pub/Sub would refuse. `field` names the attribute or part, `actual` and `limit` are bytes or counts. */
export class MessageLimitError extends ThroughlineError {
  override readonly name = 'MessageLimitError';
  readonly code = 'MESSAGE_LIMIT';
  readonly field: string;
  readonly actual: number;
  readonly limit: number;

  constructor(field: string, actual: number, limit: number, unit: string) {
    super(`${field}: ${actual} ${unit}, and Pub/Sub allows ${limit}`);
    this.field = field;
    this.actual = actual;
    this.limit = limit;
  }
}

/** An attribute key that Pub/Sub keeps for itself. */
export class ReservedAttributeError extends ThroughlineError {
  override readonly name = 'ReservedAttributeError';
  readonly code = 'ATTRIBUTE_RESERVED';
  readonly attribute: string;

  constructor(attribute: string) {
    super(`attribute "${attribute}": keys that start with "goog" are reserved by Pub/Sub`);
    this.attribute = attribute;
  }
}

/**
 * Checks a message against Pub/Sub's limits.
 *
 * Errors: MessageLimitError or ReservedAttributeError, which name the attribute.
 */
export function checkMessage(message: OutgoingMessage): void {
  const keys = Object.keys(message.attributes);
  if (keys.length > MAX_ATTRIBUTES) {
    throw new MessageLimitError('attributes', keys.length, MAX_ATTRIBUTES, 'attributes');
  }
  for (const key of keys) checkAttribute(key, message.attributes[key] ?? '');
  const orderingKeyBytes = message.orderingKey ? Buffer.byteLength(message.orderingKey) : 0;
  if (orderingKeyBytes > MAX_ORDERING_KEY_BYTES) {
    throw new MessageLimitError('ordering key', orderingKeyBytes, MAX_ORDERING_KEY_BYTES, 'bytes');
  }
  if (message.data.byteLength < SURELY_SMALL_BYTES) return;
  const bytes = exactBytes(message);
  if (bytes > MAX_MESSAGE_BYTES) throw new MessageLimitError('message', bytes, MAX_MESSAGE_BYTES, 'bytes');
}

/** With 100 attributes and an ordering key, all as long as they may be, less data than this always fits. */
const SURELY_SMALL_BYTES =
  MAX_MESSAGE_BYTES -
  MAX_ATTRIBUTES * (MAX_ATTRIBUTE_KEY_BYTES + MAX_ATTRIBUTE_VALUE_BYTES) -
  MAX_ORDERING_KEY_BYTES;

function exactBytes({ data, attributes, orderingKey = '' }: OutgoingMessage): number {
  const text = Object.entries(attributes).flat();
  return [...text, orderingKey].reduce((bytes, part) => bytes + Buffer.byteLength(part), data.byteLength);
}

function checkAttribute(key: string, value: string): void {
  if (RESERVED_PREFIX.test(key) && !WRITTEN_BY_GOOGLE_CLIENTS.test(key))
    throw new ReservedAttributeError(key);
  if (key.length === 0) throw new MessageLimitError('attribute with an empty key', 0, 1, 'bytes at least');
  const keyBytes = utf8Bytes(key, MAX_ATTRIBUTE_KEY_BYTES);
  if (keyBytes > MAX_ATTRIBUTE_KEY_BYTES) {
    const field = `key of attribute "${key.slice(0, 40)}…"`;
    throw new MessageLimitError(field, keyBytes, MAX_ATTRIBUTE_KEY_BYTES, 'bytes');
  }
  const valueBytes = utf8Bytes(value, MAX_ATTRIBUTE_VALUE_BYTES);
  if (valueBytes > MAX_ATTRIBUTE_VALUE_BYTES) {
    throw new MessageLimitError(`attribute "${key}"`, valueBytes, MAX_ATTRIBUTE_VALUE_BYTES, 'bytes');
  }
}

/** Bytes of a string, exact only where it could pass `limit`: three bytes a code unit is the most there can be. */
function utf8Bytes(text: string, limit: number): number {
  return text.length * 3 <= limit ? text.length : Buffer.byteLength(text);
}

/** About what a message counts for in a request; a character of an attribute counts as one byte. */
export function messageBytes(message: OutgoingMessage): number {
  let bytes = message.data.byteLength + (message.orderingKey ? Buffer.byteLength(message.orderingKey) : 0);
  for (const key of Object.keys(message.attributes)) {
    bytes += key.length + (message.attributes[key]?.length ?? 0);
  }
  return bytes;
}

/** The attributes without those that Pub/Sub would refuse when the message is published again (redrive, replay). */
export function withoutReservedAttributes(
  attributes: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).filter(([key]) => !RESERVED_PREFIX.test(key)));
}
