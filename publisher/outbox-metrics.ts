import { metrics } from '@opentelemetry/api';
import type { Database } from '../shared/storage/database.ts';
import { type OutboxDepth, outboxDepth } from './outbox-rows.ts';

/**
 * Publishes gauges of the outbox: `throughline.outbox.unsent`, `.unfinished` and `.delayed` (jobs; what is not due yet counts as
 * delayed only), and `throughline.outbox.oldest_unsent_age` (s, since it was due). Read from PostgreSQL at each collection, so that a restart forgets nothing.
 *
 * While the database is away the SDK repeats the last numbers; `throughline.database.errors` rises at each collection.
 */
export function observeOutbox(database: Database): { stop(): void } {
  const meter = metrics.getMeter('throughline');
  const unsent = meter.createObservableGauge('throughline.outbox.unsent', { unit: '{job}' });
  const unfinished = meter.createObservableGauge('throughline.outbox.unfinished', { unit: '{job}' });
  const delayed = meter.createObservableGauge('throughline.outbox.delayed', { unit: '{job}' });
  const age = meter.createObservableGauge('throughline.outbox.oldest_unsent_age', { unit: 's' });
  const gauges = [unsent, unfinished, delayed, age];
  const observe: Parameters<typeof meter.addBatchObservableCallback>[0] = async (result) => {
    const depth = await readDepth(database).catch(() => undefined);
    if (!depth) return;
    result.observe(unsent, depth.unsent);
    result.observe(unfinished, depth.unfinished);
    result.observe(delayed, depth.delayed);
    result.observe(age, depth.oldestUnsentSeconds);
  };
  meter.addBatchObservableCallback(observe, gauges);
  return { stop: () => meter.removeBatchObservableCallback(observe, gauges) };
}

/** A query would wait for a server that is away, and every other metric of this process with it: a ping does not. */
async function readDepth(database: Database): Promise<OutboxDepth> {
  await database.ping();
  return outboxDepth(database);
}
