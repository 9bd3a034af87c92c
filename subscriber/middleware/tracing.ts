import {
  type Attributes,
  type Context,
  context,
  type Link,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { campaignOf } from '../../shared/job/campaign.ts';
import type { Outcome } from '../../shared/job/outcome.ts';
import { links, linkTo } from '../../shared/trace/links.ts';
import { extractContext, type MessageContext } from '../../shared/trace/message-context.ts';
import { withOrderKey } from '../../shared/trace/order-key.ts';
import { recordError } from '../../shared/trace/record-error.ts';
import { endedSpansSaved, releaseEndedSpans, spansSurvive } from '../../shared/trace/release.ts';
import { keeping } from '../../shared/trace/sampling.ts';
import {
  CAMPAIGN_ID,
  CONTEXT_SOURCE,
  ERROR_TYPE,
  JOB_ATTEMPT,
  JOB_ID,
  JOB_NAME,
  JOB_OUTCOME,
  JOB_OUTCOME_REASON,
  JOB_RETRY_AFTER_MS,
  JOB_VERSION,
  MESSAGING_DELIVERY_ATTEMPT,
  MESSAGING_DESTINATION_NAME,
  MESSAGING_MESSAGE_BODY_SIZE,
  MESSAGING_MESSAGE_ID,
  MESSAGING_OPERATION_NAME,
  MESSAGING_OPERATION_TYPE,
  MESSAGING_ORDERING_KEY,
  MESSAGING_SUBSCRIPTION_NAME,
  MESSAGING_SYSTEM,
  MESSAGING_SYSTEM_GCP_PUBSUB,
  messagingSpanName,
} from '../../shared/trace/semconv.ts';
import { deriveIds, startWithIds, withDerivedIds } from '../../shared/trace/span-ids.ts';
import { tracer } from '../../shared/trace/tracer.ts';
import { type Attempts, claimSeed, createAttempts } from '../attempts.ts';
import type { Delivery, Middleware } from '../delivery.ts';

export interface TracingOptions {
  /** The topic or queue that process spans are named after. */
  readonly destination: string;
  /** Baggage members that are taken over. Default: the order key and the saga's id. */
  readonly baggageKeys?: readonly string[];
  /** Work whose message is older than this begins a new trace, linked to its producer, in ms. Default 900_000. */
  readonly continueWithinMs?: number;
}

/**
 * Runs each delivery in its `process` span, which is active inside the handler.
 *
 * T1. The producer's span is the parent and is linked, so that an order is one trace; late work and work that came
 *     without context is a root.
 * T2. From attempt 2 on the previous attempt is linked.
 * T3. Whatever the outcome, the span ends and says it; failures bear `error.type`.
 * T4. From attempt 2 on the delivery is kept whatever the order's coin said, for the one before failed; and so is what it
 *     sends, so that a saga learns from the answer that there was trouble.
 */
export function tracing(options: TracingOptions): Middleware {
  const attempts = createAttempts();
  const name = messagingSpanName('process', options.destination);
  return (next) => async (delivery, signal) => {
    const origin = extractContext(delivery.message.attributes, options);
    const parent = parentContext(delivery, origin, options.continueWithinMs ?? 900_000);
    const span = startSpan(name, delivery, origin, parent, { attempts, destination: options.destination });
    try {
      const outcome = await context.with(
        contextOf(delivery, parent, span),
        next,
        undefined,
        delivery,
        signal,
      );
      if (span.isRecording()) describeOutcome(span, outcome);
      if (outcome.kind === 'retry') attempts.remember(delivery, span.spanContext());
      return outcome;
    } catch (error) {
      if (span.isRecording()) recordError(span, error);
      throw error;
    } finally {
      if (span.isRecording()) span.end();
    }
  };
}

/**
 * Tells the spans of the active delivery before its end becomes final: after the commit nobody would run it again to tell
 * them, and a message that a broker forgets is not delivered again either. Where spans are to survive their process this
 * includes the process span itself, which then does not see the commit; should the commit fail, the next run tells more.
 */
export async function tellBefore(outcome: Outcome): Promise<void> {
  const span = trace.getActiveSpan();
  if (spansSurvive() && span?.isRecording()) {
    describeOutcome(span, outcome);
    span.end();
  }
  const isFailure = outcome.kind === 'retry' || outcome.kind === 'deadLetter';
  releaseEndedSpans(undefined, isFailure ? 'error' : undefined);
  await endedSpansSaved();
}

/** With an inbox the spans below are repeatable as well: the same attempt may be run again after its worker died. */
function contextOf({ claim }: Delivery, parent: Context, span: Span): Context {
  const own = trace.setSpan(parent, span);
  return claim ? withDerivedIds(own, claimSeed(claim, claim.attempt)) : own;
}

/**
 * Tells the process span of a job that was done, or given up, before: if its worker died after the commit, nobody has heard of it, and
 * what the job caused would have no parent. The ids are the same, should it have been told after all.
 */
export function retellProcessed(
  options: TracingOptions,
  delivery: Delivery,
  run: { readonly startMs: number; readonly endMs: number; readonly outcome: Outcome },
): void {
  const { claim, message } = delivery;
  if (!claim) return;
  const origin = extractContext(message.attributes, options);
  const parent = parentContext(delivery, origin, options.continueWithinMs ?? 900_000);
  const start = () =>
    tracer().startSpan(
      messagingSpanName('process', options.destination),
      {
        kind: SpanKind.CONSUMER,
        startTime: run.startMs,
        attributes: spanAttributes(delivery, origin, options.destination),
        links: spanLinks(origin, undefined),
      },
      parent,
    );
  const span = startWithIds(deriveIds(claimSeed(claim, claim.attempt)), start);
  describeOutcome(span, run.outcome);
  span.end(run.endMs);
}

/** T1. The order key comes from baggage, or from the envelope when a plain client sent no baggage. */
function parentContext(
  { message, orderKey, attempt }: Delivery,
  origin: MessageContext,
  withinMs: number,
): Context {
  const late = message.receivedAtMs - message.publishedAtMs > withinMs;
  const parent = late ? trace.deleteSpan(origin.context) : origin.context;
  const keyed =
    orderKey === undefined || orderKey.length > MAX_ORDER_KEY_CHARS ? parent : withOrderKey(parent, orderKey);
  return attempt === 1 ? keyed : keeping(keyed, 'retried'); // T4
}

const MAX_ORDER_KEY_CHARS = 256;

function startSpan(
  name: string,
  delivery: Delivery,
  origin: MessageContext,
  parent: Context,
  { attempts, destination }: { attempts: Attempts; destination: string },
): Span {
  const ids = attempts.idsFor(delivery);
  const parentSpan = trace.getSpanContext(parent);
  const previous = attempts.previous(
    delivery,
    parentSpan?.traceId,
    parentSpan?.traceFlags ?? TraceFlags.SAMPLED,
  );
  const start = () =>
    tracer().startSpan(
      name,
      {
        kind: SpanKind.CONSUMER,
        attributes: spanAttributes(delivery, origin, destination),
        links: spanLinks(origin, previous),
      },
      parent,
    );
  return ids ? startWithIds(ids, start) : start();
}

function spanLinks(origin: MessageContext, previous: SpanContext | undefined): Link[] {
  return links(
    linkTo(origin.parent, 'producer'),
    linkTo(origin.googleClient, 'google-client'),
    linkTo(previous, 'previous-attempt'), // T2
  );
}

function spanAttributes(delivery: Delivery, origin: MessageContext, destination: string): Attributes {
  const { message, registration } = delivery;
  const attributes: Attributes = {
    [MESSAGING_SYSTEM]: MESSAGING_SYSTEM_GCP_PUBSUB,
    [MESSAGING_OPERATION_NAME]: 'process',
    [MESSAGING_OPERATION_TYPE]: 'process',
    [MESSAGING_DESTINATION_NAME]: destination,
    [MESSAGING_SUBSCRIPTION_NAME]: delivery.subscription,
    [MESSAGING_MESSAGE_ID]: message.id,
    [MESSAGING_MESSAGE_BODY_SIZE]: message.data.byteLength,
    [JOB_ID]: delivery.jobId,
    [JOB_ATTEMPT]: delivery.attempt,
  };
  if (origin.source !== 'own') attributes[CONTEXT_SOURCE] = origin.source;
  const campaign = campaignOf(message.attributes);
  if (campaign) attributes[CAMPAIGN_ID] = campaign;
  if (message.orderingKey) attributes[MESSAGING_ORDERING_KEY] = message.orderingKey;
  if (message.deliveryAttempt) attributes[MESSAGING_DELIVERY_ATTEMPT] = message.deliveryAttempt;
  if (registration) {
    attributes[JOB_NAME] = registration.job.name;
    attributes[JOB_VERSION] = registration.job.version;
  }
  return attributes;
}

/** T3. */
function describeOutcome(span: Span, outcome: Outcome): void {
  span.setAttribute(JOB_OUTCOME, outcome.kind);
  if (outcome.kind === 'done') return;
  if (outcome.kind === 'cancelled') {
    const { by, reason } = outcome;
    span.setAttribute(JOB_OUTCOME_REASON, reason === undefined ? by : `${by}: ${reason}`);
    return;
  }
  span.setAttribute(JOB_OUTCOME_REASON, outcome.reason);
  if (outcome.kind === 'retry' && outcome.afterMs !== undefined) {
    span.setAttribute(JOB_RETRY_AFTER_MS, outcome.afterMs);
  }
  if (outcome.error !== undefined) {
    recordError(span, outcome.error);
    return;
  }
  span.setAttribute(ERROR_TYPE, outcome.kind === 'retry' ? 'RETRY' : 'DEAD_LETTER');
  span.setStatus({ code: SpanStatusCode.ERROR, message: outcome.reason });
}
