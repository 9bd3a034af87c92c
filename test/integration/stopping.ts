import { expect, test } from 'vitest';
import { done } from '../../shared/index.ts';
import { WorkerStoppingError } from '../../subscriber/index.ts';
import { assertConnected } from '../../testing/index.ts';
import { createGate } from '../support/gate.ts';
import { CLIENT } from '../support/source-kind.ts';
import type { Setting } from './suite.ts';

export function stopping({ stage, source }: Setting): void {
  test('a worker that stops finishes what runs and hands back the rest, which the next one does', async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    const runs: string[] = [];
    const begun = createGate();
    const mayFinish = createGate();
    const first = await channel.work(
      (worker) =>
        worker.handle(job, async ({ payload: { text } }) => {
          runs.push(`first ${text}`);
          begun.open();
          await mayFinish.opened;
          return done();
        }),
      { maxInFlight: 1 },
    );
    const texts = ['1', '2', '3', '4'];
    await channel.publisher.publishAll(
      job,
      texts.map((text) => ({ payload: { text } })),
    );
    await begun.opened;
    await channel.arrived.reached(texts.length);
    const stopped = first.stop();
    await channel.work((worker) =>
      worker.handle(job, async ({ payload: { text } }) => {
        runs.push(`second ${text}`);
        return done();
      }),
    );
    // The three that had not begun come over while the first worker is still busy with its one.
    await channel.settled.final(texts.length - 1);
    mayFinish.open();
    await stopped;
    await channel.settled.final(texts.length);
    const [ofFirst = '', ...ofSecond] = runs;
    expect(ofFirst).toMatch(/^first /);
    expect(ofSecond.every((run) => run.startsWith('second '))).toBe(true);
    expect(runs.map((run) => run.split(' ')[1]).toSorted()).toEqual(texts);
  });

  const clientCancels =
    source === CLIENT && "skipped: Google's client cancels its stream and leaves these to the ack deadline";
  test.skipIf(clientCancels)(
    `messages that are on their way to a worker that stops are handed back too${clientCancels ? ` (${clientCancels})` : ''}`,
    async () => {
      const channel = await stage().newChannel({ source });
      const job = channel.job();
      const begun = createGate();
      const handler = async () => {
        begun.open();
        return done();
      };
      const first = await channel.work((worker) => worker.handle(job, handler));
      const items = Array.from({ length: 300 }, (_, number) => ({ payload: { text: `${number}` } }));
      const published = channel.publisher.publishAll(job, items);
      await begun.opened;
      await first.stop();
      await channel.work((worker) => worker.handle(job, handler));
      await published;
      const settled = await channel.settled.final(items.length);
      expect(new Set(settled.map(({ jobId }) => jobId)).size).toBe(items.length);
    },
  );

  test('a handler that does not end within the grace time is aborted, and its job done by the next worker', async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    const begun = createGate();
    let reason: unknown;
    const first = await channel.work(
      (worker) =>
        worker.handle(job, async (_delivery, signal) => {
          begun.open();
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
          reason = signal.reason;
          throw signal.reason;
        }),
      { drainTimeoutMs: 20 },
    );
    const orderKey = 'O-aborted';
    await channel.publisher.publish(job, { text: 'x' }, { orderKey });
    await begun.opened;
    await first.stop();
    expect(reason).toBeInstanceOf(WorkerStoppingError);
    await channel.work((worker) => worker.handle(job, async () => done()));
    await channel.settled.final(1);
    expect(await channel.tree()).toBe(
      [
        'send jobs [shop]',
        '  process jobs [shop] attempt=1 error=WORKER_STOPPING link:producer→send jobs',
        '  process jobs [shop] attempt=2 link:producer→send jobs link:previous-attempt→process jobs',
      ].join('\n'),
    );
    assertConnected(await channel.spans(), orderKey);
  });
}
