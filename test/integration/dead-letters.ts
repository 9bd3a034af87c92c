import { expect, test } from 'vitest';
import { deadLetter, done, retry } from '../../shared/index.ts';
import { fromDeadLetter } from '../../subscriber/index.ts';
import { assertConnected } from '../../testing/index.ts';
import type { Setting } from './suite.ts';

export function deadLetters({ stage, source }: Setting): void {
  test.each([1, 2, 3])('a job is given up after exactly its own %i attempt(s)', async (maxAttempts) => {
    const channel = await stage().newChannel({ source });
    const job = channel.job({ retry: { maxAttempts, minBackoffMs: 5, maxBackoffMs: 10 } });
    await channel.work((worker) => worker.handle(job, async () => retry('the partner is closed')));
    const orderKey = `O-${maxAttempts}`;
    const { jobId } = await channel.publisher.publish(job, { text: 'hello' }, { orderKey });
    const [letter] = await channel.deadLetters(1);
    expect(letter?.attributes).toMatchObject({
      'dead-letter-reason': `gave up after ${maxAttempts} attempts: the partner is closed`,
      'dead-letter-attempts': String(maxAttempts),
      'dead-letter-subscription': channel.subscription,
      'ce-id': jobId,
      'ce-type': 'note.keep.v1',
      'ce-subject': orderKey,
    });
    await channel.settled.all(maxAttempts);
    expect(channel.settled.entries.map(({ outcome }) => outcome)).toEqual([
      ...Array.from({ length: maxAttempts - 1 }, () => 'retry'),
      'deadLetter',
    ]);
    assertConnected(await channel.spans(), orderKey);
  });

  test('a dead letter names the span in which the job died, and can be published again as it was', async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    let shallDie = true;
    await channel.work((worker) =>
      worker.handle(job, async () => {
        if (!shallDie) return done();
        return deadLetter('the note is unreadable');
      }),
    );
    const orderKey = 'O-dead';
    await channel.publisher.publish(job, { text: 'hello' }, { orderKey, attributes: { tenant: 'acme' } });
    const [letter] = await channel.deadLetters(1);
    await channel.settled.final(1);
    expect(await channel.tree()).toBe(
      [
        'send jobs [shop]',
        '  process jobs [shop] attempt=1 error=DEAD_LETTER link:producer→send jobs',
        '    send dead [shop]',
      ].join('\n'),
    );
    const process = (await channel.spans()).find(({ kind }) => kind === 'CONSUMER');
    expect(letter?.attributes['dead-letter-traceparent']).toBe(
      `00-${process?.traceId}-${process?.spanId}-01`,
    );
    if (!letter) throw new Error('there is no dead letter');
    shallDie = false;
    const again = fromDeadLetter(letter);
    expect(again.attributes).toMatchObject({ tenant: 'acme', 'ce-subject': orderKey });
    await channel.sink.publish(channel.topic, [again]);
    const [, redriven] = await channel.settled.final(2);
    expect(redriven).toMatchObject({ outcome: 'done' });
    assertConnected(await channel.spans(), orderKey);
  });

  test('an error that says that it is final is not tried again', async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    await channel.work((worker) =>
      worker.handle(job, async () => {
        throw Object.assign(new Error('the card is unknown'), { code: 'CARD_UNKNOWN', retryable: false });
      }),
    );
    await channel.publisher.publish(job, { text: 'hello' });
    const [letter] = await channel.deadLetters(1);
    expect(letter?.attributes).toMatchObject({
      'dead-letter-reason': 'CARD_UNKNOWN: the card is unknown',
      'dead-letter-error-type': 'CARD_UNKNOWN',
      'dead-letter-attempts': '1',
    });
  });

  test('a job whose dead letter cannot be stored is kept and tried again, not lost', async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job({ retry: { maxAttempts: 1, minBackoffMs: 5, maxBackoffMs: 10 } });
    let refusals = 2;
    const failing = {
      ...channel.sink,
      publish: async (...letter: Parameters<typeof channel.sink.publish>) => {
        if (refusals-- > 0) throw new Error('the dead-letter topic is away');
        return channel.sink.publish(...letter);
      },
    };
    await channel.work((worker) => worker.handle(job, async () => deadLetter('unreadable')), {
      sink: failing,
    });
    await channel.publisher.publish(job, { text: 'hello' });
    const [letter] = await channel.deadLetters(1);
    expect(letter?.attributes).toMatchObject({ 'dead-letter-reason': 'unreadable' });
    await channel.settled.final(1);
    expect(channel.settled.entries.map(({ outcome }) => outcome)).toEqual(['retry', 'retry', 'deadLetter']);
  });
}
