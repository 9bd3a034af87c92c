import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { runProcess } from '../../orders/process.ts';
import { assertResendsInTime } from '../../orders/relay.ts';
import { createOrderSaga } from '../../orders/saga.ts';
import { RESEND_ROWS, resendForgotten } from '../../publisher/outbox-rows.ts';
import { DEFAULT_RESEND_AFTER_MS } from '../../publisher/relay.ts';
import { ConfigError, defineJob, readConfig } from '../../shared/index.ts';
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

test('what was sent in vain waits longer each time, so that a backlog does not grow by itself, and never very long', async () => {
  const items = [1, 4, 5, 6, 9].map((sends) => ({ payload: {}, jobId: `${sends}` }));
  await db.database.transaction((tx) => lab.outbox.enqueueAll(tx, note, items));
  const waitingAfter = async (minutes: number) => {
    await db.database.query(
      `UPDATE throughline.outbox SET sends = job_id::integer, sent_at = now() - $1 * interval '1 minute'`,
      [minutes],
    );
    await resendForgotten(db.database, 60_000);
    return (await lab.rows()).filter(({ is_sent }) => is_sent).map(({ job_id }) => job_id);
  };
  expect(await waitingAfter(0.9)).toEqual(['1', '4', '5', '6', '9']);
  expect(await waitingAfter(1.1)).toEqual(['5', '6', '9']);
  expect(await waitingAfter(2.1)).toEqual(['6', '9']);
  expect(await waitingAfter(4.1)).toEqual([]);
});

describe('the shop sends again well before a job step of its saga is given up', () => {
  const saga = createOrderSaga({ partners: {}, outbox: lab, returnUrl: () => '' } as never);
  const timeouts = saga.steps.flatMap(({ job, timeoutMs, compensation }) => [
    ...(job ? [timeoutMs] : []),
    ...(compensation.kind === 'job' ? [compensation.timeoutMs] : []),
  ]);

  test('by default, which is the library’s', () => {
    const { resendAfterMs } = readConfig({});
    expect(resendAfterMs).toBe(DEFAULT_RESEND_AFTER_MS);
    expect(() => assertResendsInTime(resendAfterMs)).not.toThrow();
    expect(Math.min(...timeouts)).toBeGreaterThanOrEqual(4 * resendAfterMs);
  });

  test('or does not start, and says what is wrong', async () => {
    const config = readConfig({ THROUGHLINE_RESEND_AFTER_MS: '900000', DATABASE_URL: db.url });
    const starting = runProcess(config, 'never', async () => {
      throw new Error('it started');
    });
    await expect(starting).rejects.toThrow(ConfigError);
    await expect(starting).rejects.toThrow(
      /THROUGHLINE_RESEND_AFTER_MS: expected at most 150000, .* 600000 ms after which "set-up-workspace" .* got 900000/,
    );
  });

  test('whichever of its job steps is the shortest', () => {
    expect(timeouts).toHaveLength(2);
    const longestMs = Math.min(...timeouts) / 4;
    expect(() => assertResendsInTime(longestMs)).not.toThrow();
    expect(() => assertResendsInTime(longestMs + 1)).toThrow(ConfigError);
  });
});
