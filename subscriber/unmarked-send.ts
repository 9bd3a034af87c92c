import { campaignOf } from '../shared/job/campaign.ts';
import { spanContextOf } from '../shared/trace/carrier.ts';
import { outboxSendIds, sendOrigin, startOutboxSendSpan } from '../shared/trace/send-span.ts';
import type { Delivery } from './delivery.ts';
import type { UnmarkedSend } from './inbox-rows.ts';

/**
 * Tells the `send` span of a message whose relay died between publishing it and marking its row: the row is gone with the
 * job's end, so no other relay sends it again and tells. The time is the one at which Pub/Sub took the message; should the
 * relay have told the span before it died, the same one is told twice.
 */
export function tellUnmarkedSend(
  { message, jobId, jobType }: Delivery,
  unmarked: UnmarkedSend | undefined,
): void {
  if (!unmarked || jobType === undefined) return;
  const { rowId, topic, sends } = unmarked;
  const bearer = spanContextOf({ traceparent: message.attributes['traceparent'] ?? '' });
  // Otherwise the row waited to be sent again, and this message came from a send before.
  if (bearer?.spanId !== outboxSendIds(rowId, jobId, sends).spanId) return;
  const { orderingKey, publishedAtMs: atMs } = message;
  const campaign = campaignOf(message.attributes);
  const facts = {
    rowId,
    topic,
    jobId,
    jobType,
    orderingKey,
    bodyBytes: message.data.byteLength,
    sends,
    campaign,
  };
  const { parent, options } = sendOrigin(unmarked);
  startOutboxSendSpan(facts, parent, { ...options, startTime: atMs }).end(atMs);
}
