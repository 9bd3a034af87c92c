import protobuf from 'protobufjs/minimal.js';
import type { OutgoingMessage } from './message-sink.ts';
import type { IncomingMessage } from './message-source.ts';

/**
 * Pub/Sub's messages to and from bytes, for the two calls that every message takes.
 *
 * The generated client turns each attribute into several objects and strings on the way; that cost more than both spans.
 * Here a message is written as a few strings whose characters are bytes, and read the same way. Text that is not ASCII
 * takes one step more.
 *
 * Source: google/pubsub/v1/pubsub.proto; the field numbers are in the comments. Unknown fields are skipped.
 */

const { Reader, Writer } = protobuf;

// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant
const ASCII = /^[\x00-\x7f]*$/;

/** A string whose characters are the bytes of `text` in UTF-8. */
function asBytes(text: string): string {
  return ASCII.test(text) ? text : Buffer.from(text).toString('latin1');
}

function varint(value: number): string {
  if (value < 0x80) return String.fromCharCode(value);
  return String.fromCharCode((value & 0x7f) | 0x80) + varint(value >>> 7);
}

/** A field with a length: its tag, the length, its bytes. */
function field(tag: string, bytes: string): string {
  return tag + varint(bytes.length) + bytes;
}

/** PublishRequest: topic = 1, messages = 2. */
export function encodePublishRequest(topic: string, messages: readonly OutgoingMessage[]): Buffer {
  const parts: (string | Uint8Array)[] = [field('\x0a', asBytes(topic))];
  for (const message of messages) pushMessage(parts, message);
  const buffer = Buffer.allocUnsafe(parts.reduce((length, part) => length + part.length, 0));
  let position = 0;
  for (const part of parts) {
    if (typeof part === 'string') buffer.write(part, position, 'latin1');
    else buffer.set(part, position);
    position += part.length;
  }
  return buffer;
}

/** PubsubMessage: data = 1, attributes = 2, ordering_key = 5. The data goes in as it is, between two strings. */
function pushMessage(
  parts: (string | Uint8Array)[],
  { data, attributes, orderingKey }: OutgoingMessage,
): void {
  const head = data.byteLength > 0 ? `\x0a${varint(data.byteLength)}` : '';
  let tail = '';
  for (const key of Object.keys(attributes)) tail += field('\x12', attribute(key, attributes[key] ?? ''));
  if (orderingKey) tail += field('\x2a', asBytes(orderingKey));
  const length = head.length + data.byteLength + tail.length;
  parts.push(`\x12${varint(length)}${head}`, data, tail);
}

/** A map entry: key = 1, value = 2. */
function attribute(key: string, value: string): string {
  return field('\x0a', asBytes(key)) + field('\x12', asBytes(value));
}

/** PublishResponse: message_ids = 1. */
export function decodePublishResponse(bytes: Buffer): string[] {
  const reader = Reader.create(bytes);
  const ids: string[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 0x0a) ids.push(reader.string());
    else reader.skipType(tag & 7);
  }
  return ids;
}

/** StreamingPullRequest: subscription = 1, stream_ack_deadline_seconds = 5, client_id = 6, … = 7, 8, 10. */
export interface PullRequest {
  readonly subscription: string;
  readonly ackDeadlineSeconds: number;
  readonly maxOutstandingMessages: number;
  readonly maxOutstandingBytes: number;
  readonly clientId: string;
}

/** The first request of a stream, or the empty one that keeps it alive. */
export function encodePullRequest(request: PullRequest | 'keep-alive'): Buffer {
  const writer = Writer.create();
  if (request === 'keep-alive') return writer.finish() as Buffer;
  return writer
    .uint32(0x0a)
    .string(request.subscription)
    .uint32(0x28)
    .int32(request.ackDeadlineSeconds)
    .uint32(0x32)
    .string(request.clientId)
    .uint32(0x38)
    .int64(request.maxOutstandingMessages)
    .uint32(0x40)
    .int64(request.maxOutstandingBytes)
    .uint32(0x50)
    .int64(PROTOCOL_WITH_KEEP_ALIVE)
    .finish() as Buffer;
}

const PROTOCOL_WITH_KEEP_ALIVE = 1;

/** StreamingPullResponse: received_messages = 1. */
export function decodePullResponse(bytes: Buffer): IncomingMessage[] {
  const reader = Reader.create(bytes);
  const receivedAtMs = Date.now();
  const messages: IncomingMessage[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 0x0a) messages.push(readReceived(reader, bytes, receivedAtMs));
    else reader.skipType(tag & 7);
  }
  return messages;
}

/** ReceivedMessage: ack_id = 1, message = 2, delivery_attempt = 3. */
function readReceived(reader: protobuf.Reader, bytes: Buffer, receivedAtMs: number): IncomingMessage {
  const end = reader.uint32() + reader.pos;
  let ackId = '';
  let deliveryAttempt = 0;
  let message: ReadMessage = NO_MESSAGE;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === 0x0a) ackId = readText(reader, bytes);
    else if (tag === 0x12) message = readMessage(reader, bytes);
    else if (tag === 0x18) deliveryAttempt = reader.int32();
    else reader.skipType(tag & 7);
  }
  return {
    id: message.id,
    data: message.data,
    attributes: message.attributes,
    orderingKey: message.orderingKey || undefined,
    publishedAtMs: message.publishedAtMs ?? receivedAtMs,
    receivedAtMs,
    deliveryAttempt: deliveryAttempt || undefined,
    ackId,
  };
}

interface ReadMessage {
  data: Uint8Array;
  attributes: Record<string, string>;
  id: string;
  publishedAtMs: number | undefined;
  orderingKey: string;
}

const NO_DATA = new Uint8Array();
const NO_MESSAGE: ReadMessage = {
  data: NO_DATA,
  attributes: {},
  id: '',
  publishedAtMs: undefined,
  orderingKey: '',
};

/** PubsubMessage: data = 1, attributes = 2, message_id = 3, publish_time = 4, ordering_key = 5. */
function readMessage(reader: protobuf.Reader, bytes: Buffer): ReadMessage {
  const end = reader.uint32() + reader.pos;
  const message: ReadMessage = { ...NO_MESSAGE, attributes: {} };
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === 0x0a) message.data = reader.bytes();
    else if (tag === 0x12) readAttribute(reader, bytes, message.attributes);
    else if (tag === 0x1a) message.id = readText(reader, bytes);
    else if (tag === 0x22) message.publishedAtMs = readTimestampMs(reader);
    else if (tag === 0x2a) message.orderingKey = reader.string();
    else reader.skipType(tag & 7);
  }
  return message;
}

function readAttribute(reader: protobuf.Reader, bytes: Buffer, into: Record<string, string>): void {
  const end = reader.uint32() + reader.pos;
  let key = '';
  let value = '';
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === 0x0a) key = readText(reader, bytes);
    else if (tag === 0x12) value = readText(reader, bytes);
    else reader.skipType(tag & 7);
  }
  // Assigning to this one name would set the object's prototype instead.
  if (key === '__proto__')
    Object.defineProperty(into, key, { value, enumerable: true, configurable: true, writable: true });
  else into[key] = value;
}

/** Reads a string as Latin-1, which is quick, and again as UTF-8 if it was not ASCII. */
function readText(reader: protobuf.Reader, bytes: Buffer): string {
  const length = reader.uint32();
  const start = reader.pos;
  reader.skip(length);
  const text = bytes.toString('latin1', start, start + length);
  return ASCII.test(text) ? text : bytes.toString('utf8', start, start + length);
}

/** Timestamp: seconds = 1, nanos = 2. */
function readTimestampMs(reader: protobuf.Reader): number {
  const end = reader.uint32() + reader.pos;
  let seconds = 0;
  let nanos = 0;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === 0x08) seconds = Number(reader.int64());
    else if (tag === 0x10) nanos = reader.int32();
    else reader.skipType(tag & 7);
  }
  return seconds * 1_000 + nanos / 1e6;
}
