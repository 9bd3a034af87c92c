import { context, trace } from '@opentelemetry/api';
import { expect, test } from 'vitest';
import { done, inSpan, retry, withOrderKey } from '../../shared/index.ts';
import { HandlerTimeoutError } from '../../subscriber/index.ts';
import { assertConnected, type SpanRecord } from '../../testing/index.ts';
import { createGate } from '../support/gate.ts';
import type { Setting } from './suite.ts';

export function linkedSpans({ stage, source }: Setting): void {
  test('a job that succeeds continues the trace of the order that caused it', async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    await channel.work((worker) => worker.handle(job, () => inSpan('keep the note', {}, async () => done())));
    const parent = withOrderKey(context.active(), 'O-success');
    await inSpan('place order', { parent }, () => channel.publisher.publish(job, { text: 'hello' }));
    await channel.settled.final(1);
    expect(await channel.tree()).toBe(
      [
        'place order [shop]',
        '  send jobs [shop]',
        '    process jobs [shop] attempt=1 link:producer→send jobs',
        '      keep the note [shop]',
      ].join('\n'),
    );
    const spans = await channel.spans();
    assertConnected(spans, 'O-success');
    for (const { attributes } of spans) expect(attributes).toMatchObject({ 'order.event_id': 'O-success' });
  });

  test('inside the handler the process span is the active one', async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    let seen: string | undefined;
    await channel.work((worker) =>
      worker.handle(job, async () => {
        await Promise.resolve();
        seen = trace.getActiveSpan()?.spanContext().spanId;
        return done();
      }),
    );
    await channel.publisher.publish(job, { text: 'hello' });
    await channel.settled.final(1);
    const spans = await channel.spans();
    expect(seen).toBe(spanNamed(spans, `process ${channel.topic}`).spanId);
  });

  test('each attempt is linked to the one before it and says why that one failed', async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    await channel.work((worker) =>
      worker.handle(job, async ({ attempt }) => {
        if (attempt === 1) throw new TypeError('a bug');
        return attempt === 2 ? retry('not yet') : done();
      }),
    );
    const orderKey = 'O-retry';
    await channel.publisher.publish(job, { text: 'hello' }, { orderKey });
    await channel.settled.final(1);
    expect(await channel.tree()).toBe(
      [
        'send jobs [shop]',
        '  process jobs [shop] attempt=1 error=TypeError link:producer→send jobs',
        '  process jobs [shop] attempt=2 error=RETRY link:producer→send jobs link:previous-attempt→process jobs',
        '  process jobs [shop] attempt=3 link:producer→send jobs link:previous-attempt→process jobs',
      ].join('\n'),
    );
    const spans = await channel.spans();
    assertConnected(spans, orderKey);
    const [first, second, third] = attempts(spans);
    expect(previousAttemptOf(second)).toBe(first?.spanId);
    expect(previousAttemptOf(third)).toBe(second?.spanId);
    expect(first?.events).toMatchObject([
      { name: 'exception', attributes: { 'exception.message': 'a bug' } },
    ]);
    expect(second?.attributes).toMatchObject({ 'throughline.job.outcome.reason': 'not yet' });
  });

  test('an attempt in another worker is linked to the attempt in the first one', async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    const first = await channel.work((worker) =>
      // Long enough that the first worker is certain to be stopped while it still keeps the message.
      worker.handle(job, async () => retry('the other one shall do it', { afterMs: 900 })),
    );
    const orderKey = 'O-other-worker';
    await channel.publisher.publish(job, { text: 'hello' }, { orderKey });
    await channel.settled.all(1);
    await first.stop();
    await channel.work((worker) => worker.handle(job, async () => done()));
    await channel.settled.final(1);
    const spans = await channel.spans();
    const [one, two, ...more] = attempts(spans);
    expect(more).toEqual([]);
    expect(previousAttemptOf(two)).toBe(one?.spanId);
    assertConnected(spans, orderKey);
  });

  test('a handler that overruns its time-out is aborted, and the next attempt is linked to it', async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job({ timeoutMs: 50 });
    const aborts: unknown[] = [];
    await channel.work((worker) =>
      worker.handle(job, async ({ attempt }, signal) => {
        if (attempt === 1) {
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
          aborts.push(signal.reason);
          throw signal.reason;
        }
        return done();
      }),
    );
    await channel.publisher.publish(job, { text: 'hello' });
    await channel.settled.final(1);
    expect(aborts).toEqual([expect.any(HandlerTimeoutError)]);
    expect(await channel.tree()).toBe(
      [
        'send jobs [shop]',
        '  process jobs [shop] attempt=1 error=HANDLER_TIMEOUT link:producer→send jobs',
        '  process jobs [shop] attempt=2 link:producer→send jobs link:previous-attempt→process jobs',
      ].join('\n'),
    );
  });

  test('a job that is published by a handler belongs to the same trace', async () => {
    const channel = await stage().newChannel({ source });
    const first = channel.job();
    const second = channel.job({ name: 'note.send' });
    await channel.work((worker) => {
      worker.handle(first, async () => {
        await channel.publisher.publish(second, { text: 'next' });
        return done();
      });
      worker.handle(second, async () => done());
    });
    const orderKey = 'O-chain';
    await channel.publisher.publish(first, { text: 'hello' }, { orderKey });
    await channel.settled.final(2);
    expect(await channel.tree()).toBe(
      [
        'send jobs [shop]',
        '  process jobs [shop] attempt=1 link:producer→send jobs',
        '    send jobs [shop]',
        '      process jobs [shop] attempt=1 link:producer→send jobs',
      ].join('\n'),
    );
    assertConnected(await channel.spans(), orderKey);
  });

  test('late work begins a new trace that is linked to its producer', async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    const orderKey = 'O-late';
    // Published before there is a worker: by the time that one pulls, more than a millisecond has passed.
    await channel.publisher.publish(job, { text: 'hello' }, { orderKey });
    await channel.work((worker) => worker.handle(job, async () => done()), { continueWithinMs: 1 });
    await channel.settled.final(1);
    expect(await channel.tree()).toBe(
      ['send jobs [shop]', 'process jobs [shop] attempt=1 link:producer→send jobs'].join('\n'),
    );
    const spans = await channel.spans();
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(2);
    assertConnected(spans, orderKey);
  });

  test('no more handlers run at once than the worker allows, and that many do', async () => {
    const channel = await stage().newChannel({ source });
    const job = channel.job();
    const allowedAtOnce = 3;
    const full = createGate();
    let running = 0;
    let mostAtOnce = 0;
    await channel.work(
      (worker) =>
        worker.handle(job, async () => {
          running += 1;
          mostAtOnce = Math.max(mostAtOnce, running);
          if (running === allowedAtOnce) full.open();
          await full.opened;
          await new Promise(setImmediate);
          running -= 1;
          return done();
        }),
      { maxInFlight: allowedAtOnce },
    );
    const jobs = Array.from({ length: 20 }, (_, number) => ({ payload: { text: `${number}` } }));
    await channel.publisher.publishAll(job, jobs);
    await channel.settled.final(jobs.length);
    expect(mostAtOnce).toBe(allowedAtOnce);
  });
}

function spanNamed(spans: readonly SpanRecord[], name: string): SpanRecord {
  const found = spans.find((span) => span.name === name);
  if (!found) throw new Error(`no span is called ${name}`);
  return found;
}

function attempts(spans: readonly SpanRecord[]): SpanRecord[] {
  const number = (span: SpanRecord) => Number(span.attributes['throughline.job.attempt']);
  return spans.filter(({ kind }) => kind === 'CONSUMER').sort((one, other) => number(one) - number(other));
}

function previousAttemptOf(span: SpanRecord | undefined): string | undefined {
  return span?.links.find(({ attributes }) => attributes['throughline.link.reason'] === 'previous-attempt')
    ?.spanId;
}
