import { expect, it } from 'vitest';
import { freePort } from '../../shared/free-port.ts';
import { findProgram, MAY_BE_MISSING, startPrometheus, WHY_SKIPPED } from '../support/prometheus.ts';
import { complaint, throughline } from './throughline.ts';

const SUBSCRIPTION = 'messaging_destination_subscription_name="jobs-worker"';
const of = (name: string, labels: string) => `${name}{${labels}}`;
const perMinute = (perSecond: number) => (minute: number) => minute * 60 * perSecond;
const always = (value: number) => () => value;

/** Two workers of 10 slots: 40 messages a second each, 25 ms of handling, 5 ms of CPU; 90 a second are sent. */
const PAST = [
  ...['worker-1:9464', 'worker-2:9464'].flatMap((instance) => {
    const labels = `${SUBSCRIPTION},instance="${instance}"`;
    const handled = `${labels},messaging_destination_name="jobs",throughline_job_outcome="done"`;
    return [
      { series: of('throughline_worker_max_in_flight', labels), value: always(10) },
      { series: of('throughline_worker_running', labels), value: always(2) },
      { series: of('messaging_client_consumed_messages_total', handled), value: perMinute(40) },
      { series: of('messaging_process_duration_sum', handled), value: perMinute(40 * 0.025) },
      { series: of('messaging_process_duration_count', handled), value: perMinute(40) },
      { series: of('messaging_process_duration_bucket', `${handled},le="0.05"`), value: perMinute(40) },
      { series: of('messaging_process_duration_bucket', `${handled},le="+Inf"`), value: perMinute(40) },
      {
        series: of('process_cpu_time_total', `cpu_mode="user",instance="${instance}"`),
        value: perMinute(40 * 0.004),
      },
      {
        series: of('process_cpu_time_total', `cpu_mode="system",instance="${instance}"`),
        value: perMinute(40 * 0.001),
      },
      { series: of('process_memory_usage', `instance="${instance}"`), value: always(80e6) },
    ];
  }),
  {
    series: of('messaging_client_sent_messages_total', 'messaging_destination_name="jobs",error_type=""'),
    value: perMinute(90),
  },
  {
    series: of('throughline_outbox_unsent', 'instance="relay:9464"'),
    value: (minute: number) => 60 * minute,
  },
  { series: of('throughline_outbox_unfinished', 'instance="relay:9464"'), value: always(7) },
];

it.skipIf(MAY_BE_MISSING && !findProgram('prometheus'))(
  `tells from a real Prometheus what a message costs and how many workers it takes (not run when ${WHY_SKIPPED})`,
  async () => {
    const url = await startPrometheus(PAST, 1);
    const ask = (...more: string[]) =>
      throughline(['capacity', '--prometheus', url, '--window', '30m', ...more]);
    const { stdout, stderr, exitCode } = await ask('--json', '--latency', '0.1');
    expect([exitCode, stderr]).toEqual([0, '']);
    const { subscriptions, outbox } = JSON.parse(stdout);
    expect(subscriptions).toHaveLength(1);
    const [jobs] = subscriptions;
    expect(jobs).toMatchObject({
      subscription: 'jobs-worker',
      workers: 2,
      slots: 10,
      bytesPerDelivery: 40e6,
      limit: { by: 'cpu' },
      plan: { kind: 'workers', workers: 1 },
    });
    expect(jobs.arrivingPerSecond).toBeCloseTo(90, 6);
    expect(jobs.growthPerSecond).toBeCloseTo(10, 6);
    expect(jobs.cpuSecondsPerDelivery).toBeCloseTo(0.005, 9);
    expect(jobs.processSeconds).toBeCloseTo(0.025, 9);
    expect(jobs.limit.deliveriesPerSecond).toBeCloseTo(200, 6);
    expect(outbox).toMatchObject({ unfinished: 7, unfinishedGrowth: 0 });
    expect(outbox.unsentGrowth).toBeCloseTo(1, 6);

    const table = await ask('--rate', '1000', '--latency', '0.1');
    expect(table.stdout).toContain(
      "a worker's limit   min(1 ÷ 5.0 ms CPU, 10 slots ÷ 25 ms) = 200 deliveries/s, by CPU",
    );
    expect(table.stdout).toMatch(/^ {2}needed {13}6 workers, 83\.3 % used: /m);
    const short = await ask('--latency', '0.01');
    expect(short.stdout).toContain('no number of workers: handling alone takes');
    expect(complaint(await ask('--subscription', 'other'))).toBe(
      `capacity: ${url} knows no worker of subscription "other"; is it one that scrapes them (docs/metrics.md)?`,
    );
    expect(complaint(await ask('--percentile', '100'))).toBe(
      'capacity: share: expected a number between 0 and 1, 0.95 for instance',
    );
  },
  60_000,
);

it('says in one line that nobody answers', async () => {
  const away = `http://127.0.0.1:${await freePort()}`;
  const nobody = await throughline(['capacity', '--prometheus', away]);
  expect([nobody.exitCode, complaint(nobody)]).toEqual([
    1,
    `no answer from ${away}/api/v1/query: ECONNREFUSED`,
  ]);
});
