import { expect, onTestFinished, test } from 'vitest';
import { JOBS_TOPIC } from '../../orders/contract.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { listDeadLetters } from '../../subscriber/index.ts';
import { startShop } from '../support/shop.ts';

test("the shop's worker process stores what the shop gives up", async () => {
  const shop = await startShop();
  onTestFinished(() => shop.close());
  const database = openDatabase({ connectionString: shop.databaseUrl });
  onTestFinished(() => database.close());
  const stored = Promise.withResolvers<void>();
  await database.query(`
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_notify(''letters'', ''''); RETURN NULL; END';
    CREATE TRIGGER tell AFTER INSERT ON throughline.dead_letter EXECUTE FUNCTION tell()`);
  await database.listen('letters', () => {
    void listDeadLetters(database).then((letters) => letters.length > 0 && stored.resolve());
  });
  await shop.startWorker();
  await shop.publish(JOBS_TOPIC, {
    data: Buffer.from([0, 255]),
    attributes: { 'ce-id': 'j1', 'ce-type': 'nonsense.v9' },
  });
  await stored.promise;
  expect(await listDeadLetters(database)).toMatchObject([
    { jobId: 'j1', jobType: 'nonsense.v9', topic: JOBS_TOPIC, errorType: 'JOB_UNKNOWN', payloadBytes: 2 },
  ]);
});
