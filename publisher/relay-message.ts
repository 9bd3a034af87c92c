import { type Span, trace } from '@opentelemetry/api';
import type { OutgoingMessage } from '../shared/pubsub/message-sink.ts';
import { restoreCarrier } from '../shared/trace/carrier.ts';
import { type InjectOptions, injectContext } from '../shared/trace/message-context.ts';
import { OUTBOX_SENDS } from '../shared/trace/semconv.ts';
import { deriveIds, startWithIds } from '../shared/trace/span-ids.ts';
import type { UnsentRow } from './outbox-rows.ts';
import { startSendSpan } from './send-span.ts';

/** A row on its way, in its `send` span. */
export interface Outgoing {
  readonly row: UnsentRow;
  readonly span: Span;
  readonly message: OutgoingMessage;
}

/**
 * The span's id follows from row and send: a relay that died after publishing and before marking sends the row again, with
 * the same span, so that whoever got the first message finds its parent.
 */
export function toOutgoing(row: UnsentRow, baggage: InjectOptions): Outgoing {
  const parent = restoreCarrier(row.carrier, baggage);
  const data = Buffer.from(row.data);
  const facts = {
    topic: row.topic,
    jobId: row.job_id,
    orderingKey: row.ordering_key ?? undefined,
    bodyBytes: data.byteLength,
    ...nameOf(row.job_type),
  };
  const further = row.sends > 0 ? { attributes: { [OUTBOX_SENDS]: row.sends + 1 } } : {};
  const span = startWithIds(deriveIds(`outbox/${row.job_id}/${row.sends}`), () =>
    startSendSpan(facts, parent, further),
  );
  const attributes = { ...row.attributes };
  injectContext(attributes, trace.setSpan(parent, span), baggage);
  return {
    row,
    span,
    message: row.ordering_key ? { data, attributes, orderingKey: row.ordering_key } : { data, attributes },
  };
}

/** `workspace.set-up.v1` → its name and version. */
function nameOf(jobType: string): { readonly name: string; readonly version: number } {
  const at = jobType.lastIndexOf('.v');
  return { name: jobType.slice(0, at), version: Number(jobType.slice(at + 2)) };
}

/** About what the row's message counts for in a request, its trace context included. */
export function rowBytes({ data, ordering_key, attributes, carrier }: UnsentRow): number {
  let bytes =
    Buffer.byteLength(data) + (ordering_key ? Buffer.byteLength(ordering_key) : 0) + TRACEPARENT_BYTES;
  for (const part of [attributes, carrier]) {
    for (const [key, value] of Object.entries(part)) bytes += key.length + String(value).length;
  }
  return bytes;
}

/** Whatever the row was enqueued in: its message has one. */
const TRACEPARENT_BYTES = 66;
