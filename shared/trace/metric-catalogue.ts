/**
 * Every metric that Throughline's code records: what is not in this table does not compile (meters.ts), and docs/metrics.md
 * is checked against it.
 *
 * Names and labels of the first group are those of OpenTelemetry's messaging conventions (semconv.ts says which version),
 * with labels of our own beside them. No label holds what grows with customers: no order key, no id, no address.
 */
export interface MetricSpec {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  /** In UCUM, as OpenTelemetry asks: `s`, or what is counted in braces. */
  readonly unit: string;
  readonly labels: readonly string[];
  /** What it tells, in one sentence that fits a table. */
  readonly meaning: string;
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
}

/** The bounds that the messaging conventions advise, in seconds. */
const MESSAGING_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** Of work that may take a partner's milliseconds or a worker's hour, in seconds. */
const SAGA_SECONDS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900, 3600,
];

const PUBSUB = ['messaging.system', 'messaging.operation.name', 'messaging.destination.name'] as const;
const SUBSCRIPTION = 'messaging.destination.subscription.name';
const DESTINATION = 'messaging.destination.name';

export const METRICS = {
  'messaging.client.sent.messages': {
    kind: 'counter',
    unit: '{message}',
    labels: [...PUBSUB, 'error.type'],
    meaning: 'messages that were sent, or with `error.type` could not be',
  },
  'messaging.client.operation.duration': {
    kind: 'histogram',
    unit: 's',
    labels: [...PUBSUB, SUBSCRIPTION, 'error.type'],
    meaning: 'one request to Pub/Sub (`send`, `ack`, `modack`), its retries included',
    buckets: MESSAGING_SECONDS,
  },
  'messaging.client.consumed.messages': {
    kind: 'counter',
    unit: '{message}',
    labels: [...PUBSUB, SUBSCRIPTION, 'throughline.job.name', 'throughline.job.outcome'],
    meaning: 'deliveries that were handled, by what came of them; the job is empty when nobody knows it',
  },
  'messaging.process.duration': {
    kind: 'histogram',
    unit: 's',
    labels: [...PUBSUB, SUBSCRIPTION, 'throughline.job.name', 'throughline.job.outcome', 'error.type'],
    meaning: 'handling one delivery',
    buckets: MESSAGING_SECONDS,
  },
  'throughline.source.errors': {
    kind: 'counter',
    unit: '{error}',
    labels: [SUBSCRIPTION, 'error.type'],
    meaning: 'pulling or acking failed and was tried again',
  },
  'throughline.worker.running': {
    kind: 'gauge',
    unit: '{delivery}',
    labels: [SUBSCRIPTION],
    meaning: 'deliveries that this worker handles now',
  },
  'throughline.worker.max_in_flight': {
    kind: 'gauge',
    unit: '{delivery}',
    labels: [SUBSCRIPTION],
    meaning: 'how many this worker may handle at once',
  },
  'throughline.inbox.duplicates': {
    kind: 'counter',
    unit: '{delivery}',
    labels: ['throughline.job.name', 'state'],
    meaning: 'deliveries of jobs that were done, dead or cancelled already, and did not run again',
  },
  'throughline.outbox.unsent': {
    kind: 'gauge',
    unit: '{job}',
    labels: [],
    meaning: 'jobs that are committed and not yet sent',
  },
  'throughline.outbox.delayed': {
    kind: 'gauge',
    unit: '{job}',
    labels: [],
    meaning: 'jobs that are not due yet',
  },
  'throughline.outbox.unfinished': {
    kind: 'gauge',
    unit: '{job}',
    labels: [],
    meaning: 'jobs that were sent and are not known to be finished',
  },
  'throughline.outbox.oldest_unsent_age': {
    kind: 'gauge',
    unit: 's',
    labels: [],
    meaning: 'how long the oldest unsent job has waited; 0 when there is none',
  },
  'throughline.sagas.started': {
    kind: 'counter',
    unit: '{saga}',
    labels: ['saga.name'],
    meaning: 'sagas that began',
  },
  'throughline.sagas.failed': {
    kind: 'counter',
    unit: '{saga}',
    labels: ['saga.name', 'saga.failed_step'],
    meaning: 'sagas of which a step failed for good, counted when it did: their compensations begin',
  },
  'throughline.sagas.ended': {
    kind: 'counter',
    unit: '{saga}',
    labels: ['saga.name', 'saga.outcome', 'saga.failed_step'],
    meaning: 'sagas that ended (`confirmed`, `compensated`, `resolved`) or got `stuck`',
  },
  'throughline.saga.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['saga.name', 'saga.outcome'],
    meaning:
      "from a saga's beginning to its end, without the time in which it waited for a signal (a customer)",
    buckets: SAGA_SECONDS,
  },
  'throughline.saga.step.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['saga.name', 'saga.step', 'outcome'],
    meaning:
      "one attempt of a step (`completed`, `retried`, `failed`), without waiting for a signal; a job's from dispatch to result",
    buckets: SAGA_SECONDS,
  },
  'throughline.saga.compensation.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['saga.name', 'saga.step', 'outcome'],
    meaning: 'one attempt of a compensation (`undone`, `retried`, `failed`)',
    buckets: SAGA_SECONDS,
  },
  'throughline.saga.wait.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['saga.name', 'saga.step', 'waits_for'],
    meaning: 'how long a saga was suspended, for a `signal` or for a `worker`',
    buckets: SAGA_SECONDS,
  },
  'throughline.sagas.taken_over': {
    kind: 'counter',
    unit: '{saga}',
    labels: ['saga.name'],
    meaning: 'sagas whose process died, and which another one goes on with',
  },
  'throughline.sagas.parked': {
    kind: 'counter',
    unit: '{saga}',
    labels: ['saga.name', 'error.type'],
    meaning: 'sagas that a process could not go on with, for a reason that is no failure of a step',
  },
  'throughline.sagas.open': {
    kind: 'gauge',
    unit: '{saga}',
    labels: ['saga.name', 'state'],
    meaning: 'sagas that have not ended, read from PostgreSQL',
  },
  'throughline.sagas.stuck': {
    kind: 'gauge',
    unit: '{saga}',
    labels: ['saga.name', 'saga.step'],
    meaning: 'sagas that wait for an operator, by the step whose compensation failed; read from PostgreSQL',
  },
  'throughline.compensations.unresolved': {
    kind: 'gauge',
    unit: '{saga}',
    labels: ['saga.name', 'saga.step'],
    meaning: 'sagas with something still to be undone, stuck ones included; read from PostgreSQL',
  },
  'throughline.compensations.oldest_unresolved_age': {
    kind: 'gauge',
    unit: 's',
    labels: ['saga.name'],
    meaning: 'age of the oldest saga with something still to be undone; 0 when there is none',
  },
  'throughline.dead_letters': {
    kind: 'counter',
    unit: '{message}',
    labels: [SUBSCRIPTION, 'error.type'],
    meaning: 'jobs that a worker gave up, by reason',
  },
  'throughline.dead_letters.kept': {
    kind: 'counter',
    unit: '{message}',
    labels: [SUBSCRIPTION, 'given_up_by'],
    meaning: 'dead letters that were stored',
  },
  'throughline.dead_letters.unkept': {
    kind: 'counter',
    unit: '{message}',
    labels: [SUBSCRIPTION, 'error.type'],
    meaning: 'dead letters that could not be stored; they come again',
  },
  'throughline.dead_letters.expired': {
    kind: 'counter',
    unit: '{message}',
    labels: ['state'],
    meaning: 'stored dead letters that were too old to be kept; `open`: nobody had dealt with them',
  },
  'throughline.dead_letters.redriven': {
    kind: 'counter',
    unit: '{message}',
    labels: [DESTINATION],
    meaning: 'dead letters that an operator sent again',
  },
  'throughline.dead_letters.dropped': {
    kind: 'counter',
    unit: '{message}',
    labels: [DESTINATION],
    meaning: 'dead letters that an operator left dead for good',
  },
  'throughline.dead_letters.open': {
    kind: 'gauge',
    unit: '{message}',
    labels: [DESTINATION],
    meaning: 'stored dead letters that nobody has dealt with, read from PostgreSQL',
  },
  'throughline.fence.stopped': {
    kind: 'counter',
    unit: '{delivery}',
    labels: ['throughline.job.name', 'action'],
    meaning: 'deliveries that a fence, or not knowing them, kept from running',
  },
  'throughline.fences.standing': {
    kind: 'gauge',
    unit: '{fence}',
    labels: ['action'],
    meaning: 'fences in force, read from PostgreSQL',
  },
  'throughline.schedule.fired': {
    kind: 'counter',
    unit: '{tick}',
    labels: ['throughline.schedule.name'],
    meaning: 'ticks of a schedule for which a job was enqueued',
  },
  'throughline.schedule.left_out': {
    kind: 'counter',
    unit: '{tick}',
    labels: ['throughline.schedule.name'],
    meaning: 'ticks that were missed, and are not made up for',
  },
  'throughline.schedule.failed': {
    kind: 'counter',
    unit: '{tick}',
    labels: ['throughline.schedule.name'],
    meaning: 'ticks that could not be fired; they are tried again',
  },
  'throughline.limit.waited': {
    kind: 'counter',
    unit: '{delivery}',
    labels: ['throughline.limit.name', 'throughline.job.name'],
    meaning: 'deliveries that a limit put off',
  },
  'throughline.limit.waiting': {
    kind: 'gauge',
    unit: '{delivery}',
    labels: ['throughline.limit.name'],
    meaning: 'deliveries that wait for a limit, in this worker',
  },
  'throughline.campaign.enqueued': {
    kind: 'counter',
    unit: '{recipient}',
    labels: [],
    meaning: 'recipients of campaigns who were handed to the queue',
  },
  'throughline.campaign.deliveries': {
    kind: 'counter',
    unit: '{recipient}',
    labels: ['channel', 'outcome'],
    meaning: 'what a partner made of a notification: `sent`, `refused`, `busy`, `unsent` or `unknown`',
  },
  'throughline.campaign.questions': {
    kind: 'counter',
    unit: '{question}',
    labels: ['channel', 'answer'],
    meaning: 'what a partner said of a lost answer: `sent`, `not-sent`, or `none`: it is asked again',
  },
  'throughline.campaigns.open': {
    kind: 'gauge',
    unit: '{campaign}',
    labels: ['state'],
    meaning: 'campaigns that are approved and not over, read from PostgreSQL',
  },
  'throughline.campaign.recipients': {
    kind: 'gauge',
    unit: '{recipient}',
    labels: ['state'],
    meaning: 'recipients of those campaigns, by what has become of them',
  },
  'throughline.partner.calls': {
    kind: 'counter',
    unit: '{call}',
    labels: ['partner', 'effect', 'outcome'],
    meaning: 'what came of asking a partner for an effect, with all attempts of the call',
  },
  'throughline.partner.retries': {
    kind: 'counter',
    unit: '{attempt}',
    labels: ['partner', 'effect', 'reason'],
    meaning:
      'attempts within a call that failed and were followed by another; `rate-limit`: the partner answered 429',
  },
  'throughline.partner.call.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['partner', 'effect'],
    meaning: 'one call, with its attempts and the pauses between them',
    buckets: MESSAGING_SECONDS,
  },
  'throughline.database.errors': {
    kind: 'counter',
    unit: '{error}',
    labels: ['error.type'],
    meaning:
      'connections to PostgreSQL that were lost or refused, and statements that it could not serve (read-only, disk full)',
  },
  'throughline.context.dropped': {
    kind: 'counter',
    unit: '{header}',
    labels: ['part'],
    meaning: 'parts of a trace context that found no room in a message',
  },
  'throughline.context.malformed': {
    kind: 'counter',
    unit: '{message}',
    labels: ['attribute'],
    meaning: 'trace contexts that could not be read',
  },
  'throughline.sampling.dropped': {
    kind: 'counter',
    unit: '{span}',
    labels: ['reason'],
    meaning: 'spans that sampling left out, by why',
  },
  'throughline.sampling.kept': {
    kind: 'counter',
    unit: '{span}',
    labels: ['reason'],
    meaning: "spans that sampling kept against their order's coin, by why",
  },
  'throughline.spans.dropped': {
    kind: 'counter',
    unit: '{span}',
    labels: ['reason'],
    meaning:
      'spans that were lost: `queue_full`; `export_failed` after all retries or when its time was up; `rejected` by the receiver; by sampling `hold_full`, `work_too_large`',
  },
  'process.cpu.time': {
    kind: 'counter',
    unit: 's',
    labels: ['cpu.mode'],
    meaning: 'CPU time of the process, garbage collection included, `user` and `system`',
  },
  'process.memory.usage': {
    kind: 'gauge',
    unit: 'By',
    labels: [],
    meaning: 'resident memory of the process',
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;

type NamesOf<Kind extends MetricSpec['kind']> = {
  [Name in keyof typeof METRICS]: (typeof METRICS)[Name]['kind'] extends Kind ? Name : never;
}[keyof typeof METRICS];

export type CounterName = NamesOf<'counter'>;
export type HistogramName = NamesOf<'histogram'>;
export type GaugeName = NamesOf<'gauge'>;

export function specOf(name: keyof typeof METRICS): MetricSpec {
  return METRICS[name];
}
