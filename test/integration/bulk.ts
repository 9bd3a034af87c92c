import { expect, test } from 'vitest';
import { done } from '../../shared/index.ts';
import { assertConnected } from '../../testing/index.ts';
import type { Setting } from './suite.ts';

export function bulk({ stage, source }: Setting): void {
  test('each job of a batch of 1,000 runs once, under its own send span and with its own order key', async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    const handled: string[] = [];
    await channel.work((worker) =>
      worker.handle(job, async ({ payload, orderKey }) => {
        handled.push(`${orderKey} ${payload.text}`);
        return done();
      }),
    );
    const items = Array.from({ length: 1_000 }, (_, number) => ({
      payload: { text: `text ${number}` },
      orderKey: `O-${number}`,
      jobId: `job-${number}`,
    }));
    const results = await channel.publisher.publishAll(job, items);
    expect(results.filter(({ status }) => status !== 'fulfilled')).toEqual([]);
    await channel.settled.final(items.length);
    expect(handled.toSorted()).toEqual(
      items.map((item) => `${item.orderKey} ${item.payload.text}`).toSorted(),
    );

    const spans = await channel.spans();
    const sends = new Map(spans.filter(({ kind }) => kind === 'PRODUCER').map((span) => [span.spanId, span]));
    expect(sends.size).toBe(items.length);
    const processed = spans.filter(({ kind }) => kind === 'CONSUMER');
    const tied = processed.filter((span) => {
      const send = sends.get(span.parentSpanId ?? '');
      return send?.attributes['throughline.job.id'] === span.attributes['throughline.job.id'];
    });
    expect(tied.length).toBe(items.length);
    expect(new Set(tied.map(({ parentSpanId }) => parentSpanId)).size).toBe(items.length);
    for (const number of [0, 499, 999]) assertConnected(spans, `O-${number}`);
  });

  test('a bad item of a batch is refused by itself, and the others run', async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    await channel.work((worker) => worker.handle(job, async () => done()));
    const results = await channel.publisher.publishAll(job, [
      { payload: { text: 'good' } },
      { payload: { text: 7 } as never },
      { payload: { text: 'x' }, attributes: { 'ce-id': 'mine' } },
      { payload: { text: 'x' }, attributes: { long: 'x'.repeat(1_025) } },
      { payload: { text: 'x' }, attributes: { googled: 'x' } },
      { payload: { text: 'good too' } },
    ]);
    expect(results.map((result) => (result.status === 'rejected' ? result.reason.code : 'sent'))).toEqual([
      'sent',
      'PAYLOAD_INVALID',
      'ATTRIBUTE_CONFLICT',
      'MESSAGE_LIMIT',
      'ATTRIBUTE_RESERVED',
      'sent',
    ]);
    await channel.settled.final(2);
  });
}
