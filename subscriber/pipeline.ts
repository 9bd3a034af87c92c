import { deadLetter, done } from '../shared/job/outcome.ts';
import type { Logger } from '../shared/log.ts';
import type { MessageSink } from '../shared/pubsub/message-sink.ts';
import { compose, type Handler, type Middleware, type Registration } from './delivery.ts';
import type { Fences } from './fence.ts';
import type { Inbox } from './inbox.ts';
import type { Limits } from './limits/limits.ts';
import { type ClaimOptions, claim } from './middleware/claim.ts';
import { classify } from './middleware/classify.ts';
import { deadLetters } from './middleware/dead-letters.ts';
import { fence } from './middleware/fence.ts';
import { limit } from './middleware/limit.ts';
import { metrics } from './middleware/metrics.ts';
import { pause } from './middleware/pause.ts';
import { record } from './middleware/record.ts';
import { renew } from './middleware/renew.ts';
import { timeout } from './middleware/timeout.ts';
import { retellProcessed, type TracingOptions, tracing } from './middleware/tracing.ts';
import { dispatch } from './registered.ts';
import type { WorkerMetrics } from './worker-metrics.ts';

/** What becomes of a delivery between its arrival and its outcome. */
export interface PipelineOptions {
  /** Where dead letters are published. */
  readonly sink: MessageSink;
  /** Short name of the topic that the subscription reads; names the process spans. */
  readonly topic: string;
  /** Short name of the dead-letter topic. */
  readonly deadLetterTopic: string;
  /** Messages older than this begin a new trace that is linked to their producer's, in ms. Default 900_000. */
  readonly continueWithinMs?: number;
  /** Baggage members that are taken over. Default: the order key and the saga's id. */
  readonly baggageKeys?: readonly string[];
  /** Your own layers, the first outermost, between classification and the handler's time-out. */
  readonly middleware?: readonly Middleware[];
  /** Makes effects happen once, and lets handlers return `done(effects)`. Default: none. */
  readonly inbox?: Inbox;
  /** Lets operators pause and cancel jobs; needs an inbox. Started and stopped with the worker. Default: none. */
  readonly fences?: Fences;
  /** Needed by jobs with limits, and needs an inbox; of this worker alone. Started and stopped with it. Default: none. */
  readonly limits?: Limits;
  readonly logger?: Logger;
}

/** Every layer that a delivery passes, outermost first. */
export function pipeline(
  options: PipelineOptions,
  own: WorkerMetrics,
  registrations: ReadonlyMap<string, Registration>,
  maxDeliveryAttempts: () => number | undefined,
): Handler {
  const { topic, sink, deadLetterTopic, logger, inbox, fences, limits } = options;
  const traced = { destination: topic, ...pick(options) };
  return compose(
    ...(fences || limits ? [renew({ sink, topic, maxDeliveryAttempts, logger })] : []),
    ...(inbox ? [claim({ inbox, logger, onRepeated: repeated(traced, inbox) })] : []),
    ...(fences ? [pause(fences)] : []),
    ...(limits && inbox ? [limit({ limits, inbox, fences })] : []),
    tracing(traced),
    metrics(own),
    deadLetters({ sink, topic: deadLetterTopic, logger, inbox }),
    classify,
    ...(fences ? [fence(fences)] : []),
    record(inbox),
    ...(options.middleware ?? []),
    timeout,
  )(dispatch(registrations));
}

function repeated(traced: TracingOptions, { consumer }: Inbox): ClaimOptions['onRepeated'] {
  return (delivery, run) => {
    const { jobId } = delivery;
    const { attempt, redrives } = run;
    const finished = { ...delivery, attempt, claim: { consumer, jobId, attempt, lost: 0, redrives } };
    const outcome = run.kind === 'done' ? done() : deadLetter(run.reason);
    retellProcessed(traced, finished, { ...run, outcome });
  };
}

function pick({ baggageKeys, continueWithinMs }: PipelineOptions) {
  return { ...(baggageKeys && { baggageKeys }), ...(continueWithinMs !== undefined && { continueWithinMs }) };
}
