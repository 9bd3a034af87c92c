import {
  checkAttribute,
  MAX_ATTRIBUTES,
  MAX_MESSAGE_BYTES,
  MAX_ORDERING_KEY_BYTES,
  tooLarge,
} from './limits.ts';
import { invalidArgument } from './status.ts';
import { delimitedField, varintField, WireReader } from './wire.ts';

// The fields of google.pubsub.v1.PubsubMessage.
const DATA = 1;
const ATTRIBUTES = 2;
const MESSAGE_ID = 3;
const PUBLISH_TIME = 4;
const ORDERING_KEY = 5;

/** What the server adds to a message. */
export interface Stamp {
  readonly id: string;
  readonly publishedAtMs: number;
}

/** A published message, kept as the bytes that subscribers will be sent; shared by all subscriptions. */
export class Message {
  readonly encoded: Buffer;
  readonly orderingKey: string;
  readonly id: string;
  readonly publishedAtMs: number;
  #attributes: ReadonlyMap<string, string> | undefined;

  constructor(encoded: Buffer, orderingKey: string, stamp: Stamp) {
    this.encoded = encoded;
    this.orderingKey = orderingKey;
    this.id = stamp.id;
    this.publishedAtMs = stamp.publishedAtMs;
  }

  /** Read from the bytes when a filter first asks: most messages are never asked. */
  get attributes(): ReadonlyMap<string, string> {
    this.#attributes ??= readAttributes(this.encoded);
    return this.#attributes;
  }
}

/**
 * Checks a message as the publisher sent it.
 *
 * Shape:  an encoded PubsubMessage → its ordering key ('' for none).
 * Errors: INVALID_ARGUMENT with the limit that is broken.
 */
export function checkMessage(bytes: Buffer): string {
  const reader = new WireReader(bytes);
  let dataBytes = 0;
  let attributes = 0;
  let orderingKey: Buffer | undefined;
  while (reader.next()) {
    if (reader.field === DATA) dataBytes = reader.value.length;
    else if (reader.field === ORDERING_KEY) orderingKey = reader.value;
    else if (reader.field === ATTRIBUTES) {
      attributes++;
      checkAttribute(...readEntry(reader.value));
    }
  }
  if (dataBytes === 0 && attributes === 0)
    throw invalidArgument('Some messages are empty: a message needs data or at least one attribute.');
  if (attributes > MAX_ATTRIBUTES) throw tooLarge('attribute_count', attributes, MAX_ATTRIBUTES);
  if (bytes.length > MAX_MESSAGE_BYTES) throw tooLarge('message_size', bytes.length, MAX_MESSAGE_BYTES);
  if (orderingKey && orderingKey.length > MAX_ORDERING_KEY_BYTES)
    throw tooLarge('ordering_key_size', orderingKey.length, MAX_ORDERING_KEY_BYTES);
  return orderingKey?.toString() ?? '';
}

/**
 * Puts the server's id and time behind the publisher's bytes. In protocol buffers the last value of a field counts,
 * so they also replace whatever the publisher wrote there.
 */
export function stampMessage(bytes: Buffer, stamp: Stamp): Buffer {
  const seconds = Math.floor(stamp.publishedAtMs / 1000);
  const nanos = Math.floor((stamp.publishedAtMs - seconds * 1000) * 1e6);
  // Nanos are written even when 0: a repeated submessage is merged field by field, not replaced.
  const time = Buffer.concat([varintField(1, seconds), varintField(2, nanos)]);
  return Buffer.concat([bytes, delimitedField(MESSAGE_ID, stamp.id), delimitedField(PUBLISH_TIME, time)]);
}

/** Adds attributes to an encoded message; one that is there already is replaced, as the last entry of a map counts. */
export function addAttributes(bytes: Buffer, attributes: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(attributes).map(([key, value]) =>
    delimitedField(ATTRIBUTES, Buffer.concat([delimitedField(1, key), delimitedField(2, value)])),
  );
  return Buffer.concat([bytes, ...entries]);
}

function readAttributes(bytes: Buffer): Map<string, string> {
  const attributes = new Map<string, string>();
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field !== ATTRIBUTES) continue;
    const [key, value] = readEntry(reader.value);
    attributes.set(key.toString(), value.toString());
  }
  return attributes;
}

function readEntry(bytes: Buffer): [key: Buffer, value: Buffer] {
  const reader = new WireReader(bytes);
  let key = EMPTY;
  let value = EMPTY;
  while (reader.next()) {
    if (reader.field === 1) key = reader.value;
    else if (reader.field === 2) value = reader.value;
  }
  return [key, value];
}

const EMPTY: Buffer = Buffer.alloc(0);
