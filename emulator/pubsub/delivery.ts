import type { Message } from './message.ts';
import { DELIMITED, VARINT, varintLength, writeVarint } from './wire.ts';

/** One delivery of a message to one subscriber. */
export interface Delivery {
  readonly ackId: string;
  readonly message: Message;
  /** From 1; 0 when it is not reported, which is so unless the subscription has a dead-letter policy. */
  readonly deliveryAttempt: number;
}

// ReceivedMessage { ack_id = 1, message = 2, delivery_attempt = 3 } inside field 1 of PullResponse and StreamingPullResponse.
const FIELD_1 = (1 << 3) | DELIMITED;
const FIELD_2 = (2 << 3) | DELIMITED;
const FIELD_3 = (3 << 3) | VARINT;

/** Encodes a PullResponse, or the messages of a StreamingPullResponse: each message's bytes are copied once, unread. */
export function writeDeliveries(deliveries: readonly Delivery[]): Buffer {
  const sizes = deliveries.map(receivedMessageBytes);
  let total = 0;
  for (const size of sizes) total += 1 + varintLength(size) + size;
  const target = Buffer.allocUnsafe(total);
  let offset = 0;
  for (const [index, delivery] of deliveries.entries()) {
    target[offset++] = FIELD_1;
    offset = writeVarint(target, sizes[index] as number, offset);
    offset = writeReceivedMessage(target, delivery, offset);
  }
  return target;
}

function receivedMessageBytes({ ackId, message, deliveryAttempt }: Delivery): number {
  const attemptBytes = deliveryAttempt > 0 ? 1 + varintLength(deliveryAttempt) : 0;
  return fieldBytes(ackId.length) + fieldBytes(message.encoded.length) + attemptBytes;
}

function writeReceivedMessage(target: Buffer, delivery: Delivery, start: number): number {
  const { ackId, message, deliveryAttempt } = delivery;
  let offset = start;
  target[offset++] = FIELD_1;
  offset = writeVarint(target, ackId.length, offset);
  offset += target.write(ackId, offset, 'latin1');
  target[offset++] = FIELD_2;
  offset = writeVarint(target, message.encoded.length, offset);
  offset += message.encoded.copy(target, offset);
  if (deliveryAttempt === 0) return offset;
  target[offset++] = FIELD_3;
  return writeVarint(target, deliveryAttempt, offset);
}

function fieldBytes(length: number): number {
  return 1 + varintLength(length) + length;
}
