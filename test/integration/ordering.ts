import { expect, test } from 'vitest';
import { deadLetter, done, retry } from '../../shared/index.ts';
import { createGate } from '../support/gate.ts';
import type { Setting } from './suite.ts';

const byOrderKey = { orderingKey: (_payload: unknown, orderKey: string | undefined) => orderKey };

export function ordering({ stage, source }: Setting): void {
  test('async handlers of one key run one after another in order, those of other keys beside them', async () => {
    const channel = await stage().newChannel({ source, ordered: true });
    const job = channel.job(byOrderKey);
    const keys = ['O-a', 'O-b', 'O-c'];
    const texts = Array.from({ length: 12 }, (_, number) => String(number));
    const finished = new Map<string, string[]>(keys.map((key) => [key, []]));
    const running = new Set<string>();
    const overlaps: string[] = [];
    const allKeysRun = createGate();
    await channel.work((worker) =>
      worker.handle(job, async ({ payload, orderKey = '' }) => {
        if (running.has(orderKey)) overlaps.push(`${orderKey} ${payload.text}`);
        running.add(orderKey);
        if (running.size === keys.length) allKeysRun.open();
        await allKeysRun.opened;
        // Later ones have less to do: without the worker's care they would overtake.
        for (let turn = Number(payload.text); turn < texts.length; turn++) await new Promise(setImmediate);
        finished.get(orderKey)?.push(payload.text);
        running.delete(orderKey);
        return done();
      }),
    );
    await Promise.all(
      texts.flatMap((text) => keys.map((orderKey) => channel.publisher.publish(job, { text }, { orderKey }))),
    );
    await channel.settled.final(keys.length * texts.length);
    expect(Object.fromEntries(finished)).toEqual({ 'O-a': texts, 'O-b': texts, 'O-c': texts });
    expect(overlaps).toEqual([]);
  });

  test('a retry in the middle holds back what comes after it, and every attempt is linked', async () => {
    const channel = await stage().newChannel({ source, ordered: true });
    const job = channel.job(byOrderKey);
    const handled: string[] = [];
    await channel.work((worker) =>
      worker.handle(job, async ({ payload: { text }, attempt }) => {
        handled.push(`${text}/${attempt}`);
        return text === '3' && attempt < 3 ? retry('not yet') : done();
      }),
    );
    const orderKey = 'O-middle';
    const texts = ['1', '2', '3', '4', '5'];
    await Promise.all(texts.map((text) => channel.publisher.publish(job, { text }, { orderKey })));
    await channel.settled.final(texts.length);
    expect(handled).toEqual(['1/1', '2/1', '3/1', '3/2', '3/3', '4/1', '5/1']);
    const lines = (await channel.tree()).split('\n').filter((line) => /attempt=[23]/.test(line));
    expect(lines).toEqual([
      '  process jobs [shop] attempt=2 error=RETRY link:producer→send jobs link:previous-attempt→process jobs',
      '  process jobs [shop] attempt=3 link:producer→send jobs link:previous-attempt→process jobs',
    ]);
  });

  test('a dead job in the middle does not keep back its successors', async () => {
    const channel = await stage().newChannel({ source, ordered: true });
    const job = channel.job({ ...byOrderKey, retry: { maxAttempts: 2, minBackoffMs: 5, maxBackoffMs: 5 } });
    const handled: string[] = [];
    await channel.work((worker) =>
      worker.handle(job, async ({ payload: { text }, attempt }) => {
        handled.push(`${text}/${attempt}`);
        if (text === '2') return retry('never');
        return text === '3' ? deadLetter('no') : done();
      }),
    );
    const orderKey = 'O-dead-middle';
    const texts = ['1', '2', '3', '4'];
    await Promise.all(texts.map((text) => channel.publisher.publish(job, { text }, { orderKey })));
    await channel.settled.final(texts.length);
    expect(handled).toEqual(['1/1', '2/1', '2/2', '3/1', '4/1']);
    const letters = await channel.deadLetters(2);
    expect(letters.map(({ attributes }) => attributes['dead-letter-reason'])).toEqual([
      'gave up after 2 attempts: never',
      'no',
    ]);
  });
}
