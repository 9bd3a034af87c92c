import type { Database } from '../shared/storage/database.ts';
import { observeDatabase } from '../shared/storage/database-gauges.ts';
import { outboxDepth } from './outbox-rows.ts';

/**
 * Publishes gauges of the outbox: jobs that are unsent, unfinished or not due yet, and the age of the oldest unsent one since it
 * was due.
 */
export function observeOutbox(database: Database): { stop(): void } {
  const names = [
    'throughline.outbox.unsent',
    'throughline.outbox.unfinished',
    'throughline.outbox.delayed',
    'throughline.outbox.oldest_unsent_age',
  ] as const;
  return observeDatabase(database, names, async (client) => {
    const { unsent, unfinished, delayed, oldestUnsentSeconds } = await outboxDepth(client);
    return [
      { gauge: 'throughline.outbox.unsent', value: unsent },
      { gauge: 'throughline.outbox.unfinished', value: unfinished },
      { gauge: 'throughline.outbox.delayed', value: delayed },
      { gauge: 'throughline.outbox.oldest_unsent_age', value: oldestUnsentSeconds },
    ];
  });
}
