import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { done } from '../../shared/index.ts';
import { SOURCE_KINDS } from '../support/source-kind.ts';
import type { Stage } from '../support/stage.ts';

/** Pub/Sub's shortest ack deadline; there is no way to make this test quicker. */
const ACK_DEADLINE_MS = 10_000;

export function leases(stage: () => Stage): void {
  test('a handler that runs longer than the ack deadline is not given its message twice', async () => {
    await Promise.all(
      SOURCE_KINDS.map(async (source) => {
        const channel = await stage().newChannel({ source, ordered: true, ackDeadlineMs: ACK_DEADLINE_MS });
        const job = channel.job({ orderingKey: () => 'one key' });
        const handled: string[] = [];
        await channel.work((worker) =>
          worker.handle(job, async ({ payload: { text }, attempt }) => {
            handled.push(`${text}/${attempt}`);
            // The time itself is what is tested: this long the message must stay leased.
            if (text === 'long') await delay(ACK_DEADLINE_MS + 2_500);
            return done();
          }),
        );
        await channel.publisher.publish(job, { text: 'long' });
        await channel.settled.final(1);
        // A second delivery of the first message would stand before this one, for both bear one key.
        await channel.publisher.publish(job, { text: 'next' });
        await channel.settled.final(2);
        expect(handled, source.name).toEqual(['long/1', 'next/1']);
      }),
    );
  });
}
