import { expect, onTestFinished, test } from 'vitest';
import { startTelemetry } from '../../shared/trace/telemetry.ts';
import { tracer } from '../../shared/trace/tracer.ts';
import { createCounterReader } from '../support/counter-reader.ts';
import { HOSTILE, type Hostility, REJECTED, startHostileReceiver } from './hostile-receiver.ts';

const QUEUE = 1_000;
const BATCH = 200;
const SPANS = 3_500;
const TIMEOUT_MS = 500;

/** Of a burst that is larger than the queue: what became of each span, once telemetry has stopped. */
async function burst(kind: Hostility) {
  const receiver = await startHostileReceiver(kind);
  onTestFinished(() => receiver.close());
  const counters = createCounterReader();
  const telemetry = startTelemetry({
    serviceName: 'hurt',
    otlpEndpoint: receiver.endpoint,
    metricReaders: [counters.reader],
    batch: {
      maxQueueSize: QUEUE,
      maxExportBatchSize: BATCH,
      scheduledDelayMs: 5,
      exportTimeoutMs: TIMEOUT_MS,
    },
  });
  let longest = 0;
  for (let n = 0; n < SPANS; n++) {
    tracer().startSpan(`span ${n}`).end();
    if (n % 100 !== 99) continue;
    longest = Math.max(longest, (await counters.gauge('otel.sdk.processor.span.queue.size')) ?? 0);
    await new Promise(setImmediate);
  }
  await telemetry.shutdown();
  const processed = (type: string) =>
    counters.sum('otel.sdk.processor.span.processed', { 'error.type': type });
  const all = await counters.sum('otel.sdk.processor.span.processed');
  const dropped = (reason: string) => counters.sum('throughline.spans.dropped', { reason });
  const losses = {
    queueFull: await dropped('queue_full'),
    failed: await dropped('export_failed'),
    rejected: await dropped('rejected'),
  };
  expect(await processed('queue_full')).toBe(losses.queueFull);
  const sent = all - losses.queueFull - losses.failed;
  return { ...losses, sent, longest, requests: receiver.requests() };
}

const TAKES_NOTHING = [
  'dead',
  'silent',
  'resetting',
  'failing',
  'unavailable',
  'throttling',
  'redirecting',
] as const;
/** They say 200 and then never come to an end: whether they have the spans, nobody knows. */
const NEVER_ENDS = ['dripping', 'endless'] as const;

test.each(TAKES_NOTHING)(
  'a receiver that is %s gets nothing, and every span is counted as lost',
  async (kind) => {
    const { sent, queueFull, failed, rejected, longest } = await burst(kind);
    expect({ sent, lost: queueFull + failed, rejected }).toEqual({ sent: 0, lost: SPANS, rejected: 0 });
    expect(failed).toBeGreaterThan(0);
    expect(longest).toBeLessThanOrEqual(QUEUE);
  },
);

test.each(NEVER_ENDS)(
  'of a receiver that is %s every span is counted once, and nothing is waited for',
  async (kind) => {
    const { sent, queueFull, failed, rejected, longest } = await burst(kind);
    expect({ all: sent + queueFull + failed, rejected }).toEqual({ all: SPANS, rejected: 0 });
    expect(failed).toBeGreaterThan(0);
    expect(longest).toBeLessThanOrEqual(QUEUE);
  },
);

test('an answer that nobody can read is still an answer: the spans were sent', async () => {
  const { sent, queueFull, failed, rejected } = await burst('garbage');
  expect({ all: sent + queueFull, failed, rejected }).toEqual({ all: SPANS, failed: 0, rejected: 0 });
  expect(sent).toBeGreaterThan(0);
});

test('what the receiver says it rejected is counted, for each request', async () => {
  const { sent, queueFull, rejected, requests } = await burst('partial');
  expect({ all: sent + queueFull, rejected }).toEqual({ all: SPANS, rejected: requests * REJECTED });
  expect(rejected).toBeGreaterThan(0);
});

test('no more are counted as rejected than there were in the request', async () => {
  const { rejected, requests } = await burst('lying');
  expect(rejected).toBe(requests * BATCH);
});

test('every way of being no good is tried', () => {
  expect(new Set([...TAKES_NOTHING, ...NEVER_ENDS, 'garbage', 'partial', 'lying'])).toEqual(new Set(HOSTILE));
});
