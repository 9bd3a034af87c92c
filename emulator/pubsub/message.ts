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

const EMPTY: Buffer = Buffer.alloc(0);

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
    if (reader.field === DATA) dataBytes = reader.length;
    else if (reader.field === ORDERING_KEY) orderingKey = reader.value;
    else if (reader.field === ATTRIBUTES) {
      attributes++;
      checkEntry(reader.nested);
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
 * so they also replace whatever the publisher wrote there. `time` comes from `encodePublishTime`, once a request.
 */
export function stampMessage(bytes: Buffer, messageId: string, time: Buffer): Buffer {
  return Buffer.concat([bytes, delimitedField(MESSAGE_ID, messageId), time]);
}

export function encodePublishTime(atMs: number): Buffer {
  const seconds = Math.floor(atMs / 1000);
  const nanos = Math.floor((atMs - seconds * 1000) * 1e6);
  // Nanos are written even when 0: a repeated submessage is merged field by field, not replaced.
  return delimitedField(PUBLISH_TIME, Buffer.concat([varintField(1, seconds), varintField(2, nanos)]));
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
    let key = '';
    let value = '';
    for (const entry = reader.nested; entry.next(); ) {
      if (entry.field === 1) key = entry.value.toString();
      else if (entry.field === 2) value = entry.value.toString();
    }
    attributes.set(key, value);
  }
  return attributes;
}

function checkEntry(entry: WireReader): void {
  let key = EMPTY;
  let valueBytes = 0;
  while (entry.next()) {
    if (entry.field === 1) key = entry.value;
    else if (entry.field === 2) valueBytes = entry.length;
  }
  checkAttribute(key, valueBytes);
}
