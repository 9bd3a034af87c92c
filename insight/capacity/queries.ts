import { prometheusName } from '../objectives/query.ts';

/** The label that tells subscriptions apart in every answer but `sentPerSecond`, which is by topic. */
export const SUBSCRIPTION_LABEL = prometheusName('messaging.destination.subscription.name');
export const TOPIC_LABEL = prometheusName('messaging.destination.name');

const S = SUBSCRIPTION_LABEL;
const CONSUMED = 'messaging_client_consumed_messages_total';
const PROCESSED = 'messaging_process_duration';
/** Outcomes after which a message does not come again. */
const SETTLED = 'throughline_job_outcome=~"done|deadLetter|cancelled"';

/** What is asked of Prometheus, by name. `window` as Prometheus writes it: `10m`. */
export function capacityQueries(window: string, share: number) {
  /** Of the whole processes that serve a subscription: `perInstance` has one series for each. */
  const ofProcesses = (perInstance: string, aggregate: 'sum' | 'max') =>
    `${aggregate} by (${S}) (0 * max by (instance, ${S}) (throughline_worker_max_in_flight) + on (instance) group_left () ${perInstance})`;
  const rate = (series: string) => `rate(${series}[${window}])`;
  return {
    workers: `count by (${S}) (throughline_worker_max_in_flight)`,
    slots: `avg by (${S}) (throughline_worker_max_in_flight)`,
    handledPerSecond: `sum by (${S}, ${TOPIC_LABEL}) (${rate(CONSUMED)})`,
    settledPerSecond: `sum by (${S}) (${rate(`${CONSUMED}{${SETTLED}}`)})`,
    sentPerSecond: `sum by (${TOPIC_LABEL}) (${rate('messaging_client_sent_messages_total{error_type=""}')})`,
    processSeconds: `sum by (${S}) (${rate(`${PROCESSED}_sum`)}) / sum by (${S}) (${rate(`${PROCESSED}_count`)})`,
    processSecondsAtShare: `histogram_quantile(${share}, sum by (${S}, le) (${rate(`${PROCESSED}_bucket`)}))`,
    cpuSecondsPerSecond: ofProcesses(`sum by (instance) (${rate('process_cpu_time_total')})`, 'sum'),
    handledByProcessesPerSecond: ofProcesses(`sum by (instance) (${rate(CONSUMED)})`, 'sum'),
    residentBytes: ofProcesses(`max by (instance) (max_over_time(process_memory_usage[${window}]))`, 'max'),
    runningPeak: `max by (${S}) (max_over_time(throughline_worker_running[${window}]))`,
  } as const;
}

/** The outbox, which is before every subscription: jobs, and how many more there are each second. */
export function outboxQueries(window: string) {
  return {
    unsent: 'max(throughline_outbox_unsent)',
    unfinished: 'max(throughline_outbox_unfinished)',
    unsentGrowth: `max(deriv(throughline_outbox_unsent[${window}]))`,
    unfinishedGrowth: `max(deriv(throughline_outbox_unfinished[${window}]))`,
  } as const;
}
