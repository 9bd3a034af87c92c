import type { Attributes } from '@opentelemetry/api';
import type { Outcome } from '../shared/job/outcome.ts';
import { count, observeGauges, recordSeconds } from '../shared/trace/meters.ts';
import { errorType } from '../shared/trace/record-error.ts';
import {
  ERROR_TYPE,
  JOB_NAME,
  JOB_OUTCOME,
  MESSAGING_DESTINATION_NAME,
  MESSAGING_OPERATION_NAME,
  MESSAGING_SUBSCRIPTION_NAME,
  MESSAGING_SYSTEM,
  MESSAGING_SYSTEM_GCP_PUBSUB,
} from '../shared/trace/semconv.ts';
import type { Registration } from './delivery.ts';

const CONSUMED = 'messaging.client.consumed.messages';
const RUNNING = 'throughline.worker.running';
const MAX_IN_FLIGHT = 'throughline.worker.max_in_flight';
/** What the library itself gives jobs up for; a handler's own codes come on top. */
const KNOWN_DEATHS = [
  'DEAD_LETTER',
  'JOB_UNKNOWN',
  'PAYLOAD_INVALID',
  'HANDLER_TIMEOUT',
  'HANDLER_CONTRACT',
  'INBOX_MISSING',
  'WORKER_LOST',
  '_OTHER',
];

/** `handedBack` and `paused` are retries that are no failure of the job's: it was cut short, or a fence stands. */
const OUTCOMES = ['done', 'retry', 'deadLetter', 'cancelled', 'handedBack', 'paused'] as const;
type Counted = (typeof OUTCOMES)[number];
type ByOutcome = Readonly<Record<Counted, Attributes>>;

export interface WorkerMetrics {
  /** Creates every series of these jobs at 0, so that a first failure is seen as an increase. */
  createSeries(registrations: Iterable<Registration>): void;
  /** A delivery was handled. */
  handled(job: string | undefined, outcome: Outcome, seconds: number): void;
  /** Publishes how many handlers run, of how many that may. Shape: a function that stops it. */
  observe(running: () => number, maxInFlight: number): () => void;
}

export function createWorkerMetrics(destination: string, subscription: string): WorkerMetrics {
  const shared = {
    [MESSAGING_SYSTEM]: MESSAGING_SYSTEM_GCP_PUBSUB,
    [MESSAGING_OPERATION_NAME]: 'process',
    [MESSAGING_DESTINATION_NAME]: destination,
    [MESSAGING_SUBSCRIPTION_NAME]: subscription,
  };
  const labels = new Map<string, ByOutcome>();
  const labelsOf = (job: string): ByOutcome => {
    let own = labels.get(job);
    if (!own) {
      const pairs = OUTCOMES.map((outcome) => [
        outcome,
        { ...shared, [JOB_NAME]: job, [JOB_OUTCOME]: outcome },
      ]);
      own = Object.fromEntries(pairs) as ByOutcome;
      labels.set(job, own);
    }
    return own;
  };
  return {
    createSeries(registrations) {
      const names = [...registrations].map(({ job }) => job.name);
      // Without a name: what no handler is registered for.
      for (const name of ['', ...names]) {
        for (const outcome of OUTCOMES) count(CONSUMED, labelsOf(name)[outcome], 0);
      }
      for (const name of names) {
        for (const state of ['done', 'dead', 'cancelled'])
          count('throughline.inbox.duplicates', { [JOB_NAME]: name, state }, 0);
      }
      for (const type of KNOWN_DEATHS)
        count(
          'throughline.dead_letters',
          { [MESSAGING_SUBSCRIPTION_NAME]: subscription, [ERROR_TYPE]: type },
          0,
        );
    },
    handled(job = '', outcome, seconds) {
      const attributes = labelsOf(job)[counted(outcome)];
      count(CONSUMED, attributes);
      recordSeconds('messaging.process.duration', seconds, withError(attributes, outcome));
    },
    observe(running, maxInFlight) {
      const attributes = { [MESSAGING_SUBSCRIPTION_NAME]: subscription };
      return observeGauges([RUNNING, MAX_IN_FLIGHT], async () => [
        { gauge: RUNNING, value: running(), attributes },
        { gauge: MAX_IN_FLIGHT, value: maxInFlight, attributes },
      ]).stop;
    },
  };
}

function counted(outcome: Outcome): Counted {
  if (outcome.kind !== 'retry') return outcome.kind;
  if (outcome.paused) return 'paused';
  return outcome.handedBack ? 'handedBack' : 'retry';
}

/** The type is on the duration alone: on the counter each new one would be a series that is first seen at 1. */
function withError(attributes: Attributes, outcome: Outcome): Attributes {
  if (outcome.kind !== 'retry' && outcome.kind !== 'deadLetter') return attributes;
  return outcome.error === undefined ? attributes : { ...attributes, [ERROR_TYPE]: errorType(outcome.error) };
}
