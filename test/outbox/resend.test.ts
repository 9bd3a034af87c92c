import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { RESEND_ROWS } from '../../publisher/outbox-rows.ts';
import { defineJob } from '../../shared/index.ts';
import { createRelayLab, type RelayLab } from '../support/relay-lab.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let db: TestDatabase;
let lab: RelayLab;
beforeEach(async () => {
  db = await createTestDatabase();
  onTestFinished(() => db.close());
  lab = createRelayLab(db);
});

const note = defineJob({ name: 'note.keep', version: 1, topic: 'notes', payload: z.strictObject({}) });

test('a broker that forgot very many jobs gets them all again at once', async () => {
  const count = 2 * RESEND_ROWS + 1;
  const items = Array.from({ length: count }, (_, index) => ({ payload: {}, jobId: `n${index}` }));
  await db.database.transaction((tx) => lab.outbox.enqueueAll(tx, note, items));
  await db.database.query(`UPDATE throughline.outbox SET sends = 1, sent_at = now() - interval '1 hour'`);
  await lab.relay({ resendAfterMs: 1_800_000 }); // and does not look again within a minute
  await lab.sent(count);
  expect((await lab.rows()).every(({ sends, is_sent }) => is_sent && sends === 2)).toBe(true);
});
