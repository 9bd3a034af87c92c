import type { Database } from '../../shared/storage/database.ts';
import { observeDatabase } from '../../shared/storage/database-gauges.ts';
import { MESSAGING_DESTINATION_NAME } from '../../shared/trace/semconv.ts';

const OPEN = 'throughline.dead_letters.open';

/** Publishes the gauge `throughline.dead_letters.open`: letters of a topic's jobs that nobody has redriven or dropped. */
export function observeOpenLetters(database: Database, topic: string): { stop(): void } {
  return observeDatabase(database, [OPEN], async (client) => {
    const { rows } = await client.query<{ open: number }>(
      `SELECT count(*)::integer AS open FROM throughline.dead_letter WHERE state = 'open' AND topic = $1`,
      [topic],
    );
    return [{ gauge: OPEN, value: rows[0]?.open ?? 0, attributes: { [MESSAGING_DESTINATION_NAME]: topic } }];
  });
}
