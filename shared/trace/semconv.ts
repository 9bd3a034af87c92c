/**
 * Every attribute and metric name that Throughline writes, in one place.
 *
 * Source: OpenTelemetry semantic conventions, messaging, version 1.44 (status Development; the names below are
 * therefore written out here and not imported from the package's unstable entry point). Names of our own are the
 * ones that follow `order.`, `saga.` and `throughline.`.
 */

export const SEMCONV_VERSION = '1.44.0';

// Messaging spans.
export const MESSAGING_SYSTEM = 'messaging.system';
export const MESSAGING_SYSTEM_GCP_PUBSUB = 'gcp_pubsub';
export const MESSAGING_OPERATION_NAME = 'messaging.operation.name';
export const MESSAGING_OPERATION_TYPE = 'messaging.operation.type';
export const MESSAGING_DESTINATION_NAME = 'messaging.destination.name';
export const MESSAGING_SUBSCRIPTION_NAME = 'messaging.destination.subscription.name';
export const MESSAGING_MESSAGE_ID = 'messaging.message.id';
export const MESSAGING_MESSAGE_BODY_SIZE = 'messaging.message.body.size';
export const MESSAGING_ORDERING_KEY = 'messaging.gcp_pubsub.message.ordering_key';
export const MESSAGING_DELIVERY_ATTEMPT = 'messaging.gcp_pubsub.message.delivery_attempt';

export const ERROR_TYPE = 'error.type';

// The order and its saga: copied from baggage to every span, and to every log line.
export const ORDER_KEY = 'order.event_id';
export const SAGA_ID = 'saga.id';
/** Baggage members that cross process borders unless a service names its own list. */
export const DEFAULT_BAGGAGE_KEYS: readonly string[] = [ORDER_KEY, SAGA_ID];

export const SAGA_NAME = 'saga.name';
export const SAGA_VERSION = 'saga.version';
/** confirmed, compensated, resolved or stuck. */
export const SAGA_OUTCOME = 'saga.outcome';
/** Of a step or compensation, from 1. */
export const SAGA_ATTEMPT = 'saga.attempt';
export const SAGA_FAILED_STEP = 'saga.failed_step';

// Sagas and compensations. The two `original_*` names repeat the link for people who search by attribute.
export const SAGA_STEP = 'saga.step';
/** Time that a suspended saga or step spent waiting, in ms. */
export const SAGA_WAIT_MS = 'saga.wait_ms';
export const SAGA_COMPENSATION_ORIGINAL_TRACE_ID = 'saga.compensation.original_trace_id';
export const SAGA_COMPENSATION_ORIGINAL_SPAN_ID = 'saga.compensation.original_span_id';

// Jobs.
export const JOB_NAME = 'throughline.job.name';
export const JOB_VERSION = 'throughline.job.version';
export const JOB_ID = 'throughline.job.id';
export const JOB_ATTEMPT = 'throughline.job.attempt';
export const JOB_OUTCOME = 'throughline.job.outcome';
export const JOB_OUTCOME_REASON = 'throughline.job.outcome.reason';
export const JOB_RETRY_AFTER_MS = 'throughline.job.retry_after_ms';

// Fences: on the span of whoever adds or lifts one, and on the process span of a job that it cancels.
export const FENCE_ID = 'throughline.fence.id';
/** pause or cancel. */
export const FENCE_ACTION = 'throughline.fence.action';
/** What it stops, as text: `job=mail.send campaign=autumn`. */
export const FENCE_TARGET = 'throughline.fence.target';
/** Who added it (or, on a span of `fence.lift`, who lifts it), and why. */
export const FENCE_ACTOR = 'throughline.fence.actor';
export const FENCE_REASON = 'throughline.fence.reason';
/** On an operator's span: the stored letter that was redriven or dropped, and how many of them a bulk action settled. */
export const DEAD_LETTER_ID = 'throughline.dead_letter.id';
export const DEAD_LETTERS_SETTLED = 'throughline.dead_letter.settled';

// Campaigns: on the campaign's own spans, and on every span of a recipient's job.
export const CAMPAIGN_ID = 'throughline.campaign.id';
export const CAMPAIGN_STATE = 'throughline.campaign.state';
/** `throughline.campaign.sent` and so on, one for each of the ledger's states, on the campaign's span. */
export const CAMPAIGN_COUNT = 'throughline.campaign';

/** On metrics: the limit that jobs wait for. */
export const LIMIT_NAME = 'throughline.limit.name';

// Schedules: on the root span of a firing.
export const SCHEDULE_NAME = 'throughline.schedule.name';
/** The time of day for which it fires, RFC 3339. */
export const SCHEDULE_TICK = 'throughline.schedule.tick';
export const SCHEDULE_CRON = 'throughline.schedule.cron';
export const SCHEDULE_TIME_ZONE = 'throughline.schedule.time_zone';
/** Whether it comes late, and stands for all ticks since. */
export const SCHEDULE_MISSED = 'throughline.schedule.missed';

/** On a `send` span of the relay, from the second send on: how often the job was sent. */
export const OUTBOX_SENDS = 'throughline.outbox.sends';

/** Where a process span's context came from, when not from ours: `google-client` or `none`. */
export const CONTEXT_SOURCE = 'throughline.context.source';

/**
 * On what is kept although the order's coin had dropped it: `error`, `slow`, `retried`, `compensates`, or `journal` (told
 * again from there). Whoever counts spans counts these once each, not as one of many.
 */
export const SAMPLING_KEPT = 'throughline.kept';
/** On a span that lasts because somebody listens or waits: it is not slow. */
export const SPAN_WAITS = 'throughline.waits';

export const PROCESS_CPU_MODE = 'cpu.mode';

/** On a link: why the two spans belong together. Its values are `LinkReason` in links.ts. */
export const LINK_REASON = 'throughline.link.reason';

export type MessagingOperation = 'create' | 'send' | 'receive' | 'process' | 'ack' | 'nack' | 'modack';

/** `{operation} {destination}`, operation first, as the conventions ask since 1.28. */
export function messagingSpanName(operation: MessagingOperation, destination: string): string {
  return `${operation} ${destination}`;
}
