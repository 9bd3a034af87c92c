import type { Span } from '@opentelemetry/api';
import { campaignOf } from '../shared/job/campaign.ts';
import type { OutgoingMessage } from '../shared/pubsub/message-sink.ts';
import { type InjectOptions, injectContext } from '../shared/trace/message-context.ts';
import { messageContext, onlyIfSampled, sendOrigin, startOutboxSendSpan } from '../shared/trace/send-span.ts';
import type { UnsentRow } from './outbox-rows.ts';

/** A row on its way, in its `send` span. */
export interface Outgoing {
  readonly row: UnsentRow;
  readonly span: Span;
  readonly message: OutgoingMessage;
}

export function toOutgoing(row: UnsentRow, baggage: InjectOptions): Outgoing {
  const { parent, options } = sendOrigin(row, baggage);
  const data = row.bytes ?? Buffer.from(row.data);
  const { id: rowId, topic, job_id: jobId, job_type: jobType, sends } = row;
  const orderingKey = row.ordering_key ?? undefined;
  const started = startOutboxSendSpan(
    {
      ...{ rowId, topic, jobId, jobType, orderingKey, bodyBytes: data.byteLength, sends },
      campaign: campaignOf(row.attributes),
    },
    parent,
    options,
  );
  const span = onlyIfSampled(started);
  const attributes = { ...row.attributes };
  injectContext(attributes, messageContext(parent, span), baggage);
  return {
    row,
    span,
    message: row.ordering_key ? { data, attributes, orderingKey: row.ordering_key } : { data, attributes },
  };
}

/** About what the row's message counts for in a request, its trace context included. */
export function rowBytes({ data, bytes: binary, ordering_key, attributes, carrier }: UnsentRow): number {
  let bytes =
    (binary?.byteLength ?? Buffer.byteLength(data)) +
    (ordering_key ? Buffer.byteLength(ordering_key) : 0) +
    TRACEPARENT_BYTES;
  for (const part of [attributes, carrier]) {
    for (const [key, value] of Object.entries(part)) bytes += key.length + String(value).length;
  }
  return bytes;
}

/** Whatever the row was enqueued in: its message has one. */
const TRACEPARENT_BYTES = 66;
