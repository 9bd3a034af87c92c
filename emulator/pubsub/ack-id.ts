import { invalidArgument, type StatusError } from './status.ts';

/** What an ack id says: which subscription (a number that is never reused), message, and delivery of the message. */
export interface AckId {
  readonly subscription: number;
  readonly sequence: number;
  readonly delivery: number;
}

export function writeAckId(subscription: number, sequence: number, delivery: number): string {
  return `${subscription}:${sequence}:${delivery}`;
}

export function readAckId(ackId: string): AckId | undefined {
  const first = ackId.indexOf(':');
  const second = ackId.indexOf(':', first + 1);
  if (first < 1 || second < 0) return undefined;
  const subscription = Number(ackId.slice(0, first));
  const sequence = Number(ackId.slice(first + 1, second));
  const delivery = Number(ackId.slice(second + 1));
  if (!(subscription > 0 && sequence > 0 && delivery > 0)) return undefined;
  return { subscription, sequence, delivery };
}

export function invalidAckId(ackId: string): StatusError {
  return invalidArgument(`Invalid ack id (ack_id=${ackId}).`);
}
