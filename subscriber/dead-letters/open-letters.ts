import { metrics } from '@opentelemetry/api';
import { type Database, DatabaseUnavailableError } from '../../shared/storage/database.ts';
import { MESSAGING_DESTINATION_NAME } from '../../shared/trace/semconv.ts';

/**
 * Publishes the gauge `throughline.dead_letters.open`: letters of a topic's jobs that nobody has redriven or dropped. Read
 * from PostgreSQL at each collection, so that a restart forgets nothing and every process says the same.
 */
export function observeOpenLetters(database: Database, topic: string): { stop(): void } {
  const gauge = metrics.getMeter('throughline').createObservableGauge('throughline.dead_letters.open', {
    unit: '{message}',
  });
  const observe: Parameters<typeof gauge.addCallback>[0] = async (result) => {
    const open = await readOpen(database, topic).catch((error) => {
      if (error instanceof DatabaseUnavailableError) return undefined;
      throw error;
    });
    if (open !== undefined) result.observe(open, { [MESSAGING_DESTINATION_NAME]: topic });
  };
  gauge.addCallback(observe);
  return { stop: () => gauge.removeCallback(observe) };
}

/** A query would wait for a server that is away, and every other metric of this process with it: a ping does not. */
async function readOpen(database: Database, topic: string): Promise<number> {
  await database.ping();
  const { rows } = await database.query<{ open: number }>(
    `SELECT count(*)::integer AS open FROM throughline.dead_letter WHERE state = 'open' AND topic = $1`,
    [topic],
  );
  return rows[0]?.open ?? 0;
}
