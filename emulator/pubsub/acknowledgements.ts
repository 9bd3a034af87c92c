import { Metadata, status } from '@grpc/grpc-js';
import { invalidAckId, readAckId } from './ack-id.ts';
import { StatusError } from './status.ts';
import type { AckResult, Subscription } from './subscription.ts';
import { delimitedField, varintField } from './wire.ts';

/** Ack ids by what became of them. */
export type AckOutcome = Readonly<Record<AckResult, string[]>>;

/** Nothing is applied when one of the ids is malformed. */
export function checkAckIds(ackIds: readonly string[]): void {
  for (const ackId of ackIds) if (!readAckId(ackId)) throw invalidAckId(ackId);
}

export function acknowledgeAll(subscription: Subscription, ackIds: readonly string[]): AckOutcome {
  return sort(ackIds, (ackId) => subscription.acknowledge(ackId));
}

/** `deadlinesSeconds` has one element for each ack id. */
export function modifyAll(
  subscription: Subscription,
  ackIds: readonly string[],
  deadlinesSeconds: readonly number[],
): AckOutcome {
  return sort(ackIds, (ackId, index) =>
    subscription.modifyAckDeadline(ackId, (deadlinesSeconds[index] ?? 0) * 1000),
  );
}

/** With exactly-once delivery a unary call fails when any of its ids did, and says which in an ErrorInfo. */
export function throwIfRefused({ expired, unordered }: AckOutcome): void {
  if (expired.length + unordered.length === 0) return;
  const reasons = [
    ...expired.map((ackId) => [ackId, 'PERMANENT_FAILURE_INVALID_ACK_ID'] as const),
    ...unordered.map((ackId) => [ackId, 'TRANSIENT_FAILURE_UNORDERED_ACK_ID'] as const),
  ];
  const text =
    'Some acknowledgement ids in the request were invalid. This could be because they have expired.';
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', encodeStatus(text, reasons));
  throw new StatusError(status.INVALID_ARGUMENT, text, metadata);
}

function sort(ackIds: readonly string[], apply: (ackId: string, index: number) => AckResult): AckOutcome {
  const outcome: AckOutcome = { ok: [], expired: [], unordered: [] };
  for (const [index, ackId] of ackIds.entries()) outcome[apply(ackId, index)].push(ackId);
  return outcome;
}

/** A google.rpc.Status with one google.rpc.ErrorInfo, where clients look for the fate of each ack id. */
function encodeStatus(text: string, reasons: readonly (readonly [ackId: string, reason: string])[]): Buffer {
  const entries = reasons.map(([ackId, reason]) =>
    delimitedField(3, Buffer.concat([delimitedField(1, ackId), delimitedField(2, reason)])),
  );
  const errorInfo = Buffer.concat([
    delimitedField(1, 'EXACTLY_ONCE_ACKID_FAILURE'),
    delimitedField(2, 'pubsub.googleapis.com'),
    ...entries,
  ]);
  const any = Buffer.concat([
    delimitedField(1, 'type.googleapis.com/google.rpc.ErrorInfo'),
    delimitedField(2, errorInfo),
  ]);
  return Buffer.concat([
    varintField(1, status.INVALID_ARGUMENT),
    delimitedField(2, text),
    delimitedField(3, any),
  ]);
}
