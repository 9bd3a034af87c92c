import { type Context, context, ROOT_CONTEXT } from '@opentelemetry/api';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sendNotification } from '../../orders/contract.ts';
import { inSpan, withOrderKey } from '../../shared/index.ts';
import { assertConnected, type SpanRecord } from '../../testing/index.ts';
import { OrderSystem } from '../support/order-system.ts';

let system: OrderSystem;
beforeEach(async () => {
  system = await OrderSystem.start();
});
afterEach(() => system.close());

const mailsDone = (count: number) => (spans: readonly SpanRecord[]) =>
  spans.filter(
    ({ attributes }) =>
      attributes['throughline.job.name'] === sendNotification.name &&
      attributes['throughline.job.outcome'] === 'done',
  ).length >= count;

const CONFIRMED = ['card/redeem', 'payment/settle', 'workspace/set-up', 'mail/order-confirmed'];

describe('a worker that is killed with kill -9', () => {
  test('in the middle of its jobs loses none of them, and what had happened already happens once', async () => {
    const before = system.gate.hold({ what: 'workspace/set-up', orderKey: 'O-before', when: 'before' });
    const after = system.gate.hold({ what: 'workspace/set-up', orderKey: 'O-after', when: 'after' });
    const killed = await system.startWorker('worker-1');
    await Promise.all([system.place('O-before'), system.place('O-after')]);
    await Promise.all([before.held, after.held]);
    expect(system.effects('O-before')).not.toContain('workspace/set-up');
    expect(system.effects('O-after')).toContain('workspace/set-up');
    killed.signal('SIGKILL');
    expect(await killed.exited).toBeNull();

    const next = await system.startWorker('worker-2');
    for (const orderKey of ['O-before', 'O-after']) {
      const story = await system.story(orderKey, mailsDone(1));
      expect(story).toEqual([
        'place order [order-service]',
        '  step redeem-card [order-service]',
        '    POST card/redeem [order-service]',
        '  step settle-payment [order-service]',
        '    POST payment/settle [order-service]',
        '  step set-up-workspace [order-service]',
        '    send workspace-jobs [order-service]',
        // The killed attempt has taken its span with it: the link names a span that nobody will see.
        '      process workspace-jobs [worker-2] attempt=2 link:producer→send workspace-jobs link:previous-attempt→(never reported)',
        '        POST workspace/set-up [worker-2]',
        '        send workspace-jobs [worker-2]',
        '          process workspace-jobs [worker-2] attempt=1 link:producer→send workspace-jobs',
        '            POST mail/order-confirmed [worker-2]',
      ]);
      assertConnected(system.store.byOrder(orderKey), orderKey);
      const setUps = system.gate.calls.filter(
        (call) => call.orderKey === orderKey && call.what === 'workspace/set-up',
      );
      expect(setUps.map(({ idempotencyKey }) => idempotencyKey)).toEqual([
        `${orderKey}/set-up`,
        `${orderKey}/set-up`,
      ]);
    }
    expect(system.effects('O-after')).toEqual(CONFIRMED);
    // The first call is still kept back at its partner, whose connection to the dead worker is gone.
    expect(system.effects('O-before')).toEqual(CONFIRMED);
    next.signal('SIGTERM');
    expect(await next.exited).toBe(0);
  });
});

describe('a worker that is told to stop with SIGTERM', () => {
  test('finishes the job that runs, hands back the rest, exports its spans and exits with 0', async () => {
    const publishMail = (order: Context, orderKey: string, jobId: string) =>
      system.publisher.publish(
        sendNotification,
        { orderKey, email: 'owner@shop.example', template: 'order-confirmed' },
        { orderKey, jobId, context: order },
      );
    const first = await system.startWorker('worker-1');
    await system.place('O-finished');
    await system.spans('O-finished', mailsDone(1));

    const running = system.gate.hold({ what: 'workspace/set-up', orderKey: 'O-running', when: 'before' });
    const order = await inSpan('customer', { parent: withOrderKey(ROOT_CONTEXT, 'O-running') }, async () => {
      await system.place('O-running');
      return context.active();
    });
    await running.held;
    // These stand behind the running job, because they bear its ordering key.
    const behind = ['mail-1', 'mail-2', 'mail-3'];
    await Promise.all(behind.map((jobId) => publishMail(order, 'O-running', jobId)));
    first.signal('SIGTERM');
    await first.logged('worker stopping');
    const second = await system.startWorker('worker-2');
    running.release();
    expect(await first.exited).toBe(0);

    // Would the finished jobs be redelivered, then before these: Pub/Sub keeps the order of a key.
    await publishMail(ROOT_CONTEXT, 'O-finished', 'last');
    await publishMail(order, 'O-running', 'last');
    const finished = await system.gate.called('O-finished', 5);
    expect(finished.map(({ what, idempotencyKey }) => `${what} ${idempotencyKey}`)).toEqual([
      'card/redeem O-finished/redeem-card',
      'payment/settle O-finished/settle-payment',
      'workspace/set-up O-finished/set-up',
      'mail/order-confirmed O-finished/confirmed',
      'mail/order-confirmed last',
    ]);
    const calls = await system.gate.called('O-running', 8);
    expect(calls.slice(2).map(({ idempotencyKey }) => idempotencyKey)).toEqual([
      'O-running/set-up',
      ...behind,
      'O-running/confirmed',
      'last',
    ]);
    const spans = await system.spans('O-running', mailsDone(behind.length + 2));
    const workerOf = (name: string) =>
      spans.filter((span) => span.name === name).map(({ service }) => service);
    expect(workerOf('POST workspace/set-up')).toEqual(['worker-1']);
    expect(new Set(workerOf('POST mail/order-confirmed'))).toEqual(new Set(['worker-2']));
    second.signal('SIGTERM');
    expect(await second.exited).toBe(0);
  });

  test('and told so again gives up at once, with exit code 1', async () => {
    const stuck = system.gate.hold({ what: 'workspace/set-up', orderKey: 'O-stuck', when: 'before' });
    const worker = await system.startWorker('worker-1');
    await system.place('O-stuck');
    await stuck.held;
    worker.signal('SIGTERM');
    await worker.logged('worker stopping');
    worker.signal('SIGTERM');
    expect(await worker.exited).toBe(1);
  });
});

describe('an emulator that is restarted and has forgotten everything', () => {
  test('finds the worker again, whose running job ends as if nothing had been', async () => {
    const running = system.gate.hold({ what: 'workspace/set-up', orderKey: 'O-during', when: 'before' });
    const worker = await system.startWorker('worker-1');
    await system.place('O-during');
    await running.held;
    await system.restartEmulator();
    running.release();
    await system.spans('O-during', mailsDone(1));
    await system.place('O-later');
    await system.spans('O-later', mailsDone(1));
    for (const orderKey of ['O-during', 'O-later']) expect(system.effects(orderKey)).toEqual(CONFIRMED);
    worker.signal('SIGTERM');
    expect(await worker.exited).toBe(0);
  });
});
