import { context, trace } from '@opentelemetry/api';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { moveDue } from '../../publisher/delayed-rows.ts';
import { observeOutbox, outboxDepth } from '../../publisher/index.ts';
import { defineJob, inSpan, OptionsError, withOrderKey } from '../../shared/index.ts';
import { startTestTelemetry, type TestTelemetry } from '../fakes/telemetry.ts';
import { createRelayLab, type RelayLab } from '../support/relay-lab.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** Jobs that are not to be sent before some time; Pub/Sub is a sink that remembers. */
let telemetry: TestTelemetry;
let db: TestDatabase;
let lab: RelayLab;
beforeAll(() => {
  telemetry = startTestTelemetry();
});
beforeEach(async () => {
  db = await createTestDatabase();
  lab = createRelayLab(db);
  onTestFinished(() => db.close());
});
afterAll(() => telemetry.stop());

const payload = z.strictObject({ text: z.string() });
const note = defineJob({ name: 'note.keep', version: 1, topic: 'notes', payload });
const keyed = defineJob({
  ...{ name: 'note.keyed', version: 1, topic: 'notes', payload },
  orderingKey: (_, orderKey) => orderKey,
});

const NEVER_MS = 3_600_000;
/** Nothing but what is due, or was enqueued, wakes such a relay. */
const DEAF = { pollMs: NEVER_MS };

const inMs = (ms: number) => new Date(Date.now() + ms);
const inAnHour = () => inMs(3_600_000);
const sentIds = () => lab.sink.messages.map(({ attributes }) => attributes['ce-id'] ?? '');

function enqueue(jobId: string, runAt?: Date, job = note) {
  return db.database.transaction((tx) =>
    lab.outbox.enqueue(
      tx,
      job,
      { text: jobId },
      { jobId, ...(runAt && { runAt }), ...(job === keyed && { orderKey: 'o-1' }) },
    ),
  );
}

/** Lets time pass for what is not due yet. */
async function pass(seconds: number): Promise<void> {
  await db.database.query(
    `UPDATE throughline.delayed_job SET run_at = run_at - $1 * interval '1 s', enqueued_at = enqueued_at - $1 * interval '1 s'`,
    [seconds],
  );
}

async function waiting(): Promise<string[]> {
  const { rows } = await db.database.query<{ job_id: string }>(
    'SELECT job_id FROM throughline.delayed_job ORDER BY run_at',
  );
  return rows.map(({ job_id }) => job_id);
}

describe('a delayed job', () => {
  test('O6: is not sent before it is due, and its neighbours are', async () => {
    await lab.relay({ pollMs: 20 });
    await enqueue('later', inAnHour());
    await enqueue('now');
    await lab.sent(1);
    expect(sentIds()).toEqual(['now']);
    await pass(3_599);
    expect(await moveDue(db.database, 0)).toBe(0);
    expect(await waiting()).toEqual(['later']);
    await pass(2);
    await lab.sent(2);
    expect(sentIds()).toEqual(['now', 'later']);
    expect(await waiting()).toEqual([]);
  });

  test('wakes a relay that neither polls nor is told, at its time', async () => {
    await lab.relay(DEAF);
    const runAt = inMs(300);
    await enqueue('soon', runAt);
    await lab.sent(1);
    const { rows } = await db.database.query<{ is_due: boolean }>(
      'SELECT now() >= $1::timestamptz AS is_due',
      [runAt],
    );
    expect(rows).toEqual([{ is_due: true }]);
  });

  test('is found by a relay that starts after it was enqueued, and after another one was stopped', async () => {
    const first = await lab.relay(DEAF);
    await enqueue('later', inMs(400));
    await first.stop();
    expect(await waiting()).toEqual(['later']);
    await lab.relay(DEAF);
    await lab.sent(1);
  });

  test('whose time is over already is sent at once', async () => {
    await lab.relay(DEAF);
    await enqueue('past', new Date(0));
    await lab.sent(1);
  });

  test('is sent once by several relays, and in the order of the times', async () => {
    await Promise.all([1, 2, 3].map(() => lab.relay({ pollMs: 10, batchSize: 10 })));
    const ids = Array.from({ length: 60 }, (_, index) => `n${String(index).padStart(2, '0')}`);
    await db.database.transaction((tx) =>
      lab.outbox.enqueueAll(
        tx,
        keyed,
        ids.toReversed().map((jobId) => {
          const runAt = inMs(200 + Number(jobId.slice(1)) * 5);
          return { payload: { text: jobId }, jobId, runAt, orderKey: 'o-1' };
        }),
      ),
    );
    await lab.sent(60);
    expect(sentIds()).toEqual(ids);
  });

  test('O2: takes its place among those of its ordering key when it is due, and keeps none of them waiting', async () => {
    await enqueue('delayed', inAnHour(), keyed);
    await enqueue('first', undefined, keyed);
    const relay = await lab.relay({ pollMs: 20 });
    await lab.sent(1);
    expect(sentIds()).toEqual(['first']);
    await relay.stop();
    await enqueue('second', undefined, keyed); // enqueued before the other is due
    await pass(3_601);
    await moveDue(db.database, NEVER_MS);
    await enqueue('third', undefined, keyed);
    await lab.relay();
    await lab.sent(4);
    expect(sentIds()).toEqual(['first', 'second', 'delayed', 'third']);
  });

  test('is stored with its transaction or not at all, and a job id that is stored already is left as it is', async () => {
    await expect(
      db.database.transaction(async (tx) => {
        await lab.outbox.enqueue(tx, note, { text: 'x' }, { jobId: 'undone', runAt: inAnHour() });
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    await enqueue('later', inAnHour());
    await enqueue('later');
    await enqueue('later', inMs(0));
    expect(await lab.rows()).toEqual([]);
    await enqueue('now');
    await enqueue('now', inAnHour());
    expect(await waiting()).toEqual(['later']);
  });

  test('a time that is none is refused, and nothing is stored', async () => {
    for (const runAt of [new Date(Number.NaN), new Date(8.64e15), '2026-01-01' as unknown as Date]) {
      await expect(enqueue('bad', runAt)).rejects.toThrow(OptionsError);
    }
    await expect(enqueue('bad', new Date(Number.NaN))).rejects.toThrow(
      'enqueue: runAt: expected a Date from 1970 to 9999, got Invalid Date',
    );
    expect(await waiting()).toEqual([]);
  });

  test('counts as delayed, and as unsent only once it is due', async () => {
    await enqueue('later', inAnHour());
    await db.database.query(`UPDATE throughline.delayed_job SET enqueued_at = now() - interval '1 day'`);
    const observed = observeOutbox(db.database);
    onTestFinished(() => observed.stop());
    expect(await telemetry.gauge('throughline.outbox.delayed')).toBe(1);
    expect(await telemetry.gauge('throughline.outbox.unsent')).toBe(0);
    expect(await telemetry.gauge('throughline.outbox.oldest_unsent_age')).toBe(0);
    await pass(3_660);
    const { oldestUnsentSeconds, ...depth } = await outboxDepth(db.database);
    expect(depth).toEqual({ unsent: 1, unfinished: 0, delayed: 0 });
    expect(oldestUnsentSeconds).toBeGreaterThanOrEqual(60);
    expect(oldestUnsentSeconds).toBeLessThan(120);
  });
});

describe('the trace of a delayed job', () => {
  /** Enqueues in a span, as late as is said, and sends. */
  const enqueueAndSend = async (seconds: number) => {
    await context.with(withOrderKey(context.active(), 'O-1'), () =>
      inSpan('place', {}, () => enqueue('later', inMs(seconds * 1_000))),
    );
    await pass(seconds + 1);
    await lab.relay(DEAF);
    await lab.sent(1);
    const spans = await telemetry.spans();
    const place = spans.findLast(({ name }) => name === 'place');
    const send = spans.findLast(({ name }) => name === 'send notes');
    return { place, send, message: lab.sink.messages[0] };
  };

  test('goes on within fifteen minutes', async () => {
    const { place, send, message } = await enqueueAndSend(890);
    expect(send).toMatchObject({ traceId: place?.traceId, parentSpanId: place?.spanId });
    expect(message?.attributes['traceparent']).toContain(send?.spanId);
  });

  test('begins anew after that, linked to what enqueued it, and keeps the order key', async () => {
    const { place, send, message } = await enqueueAndSend(910);
    expect(send?.traceId).not.toBe(place?.traceId);
    expect(send?.parentSpanId).toBeUndefined();
    expect(send?.links).toMatchObject([{ traceId: place?.traceId, spanId: place?.spanId }]);
    expect(send?.attributes).toMatchObject({ 'order.event_id': 'O-1' });
    expect(message?.attributes['traceparent']).toContain(send?.traceId);
    expect(trace.getActiveSpan()).toBeUndefined();
  });
});
