import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { startPartnersSandbox } from '../../emulator/partners/sandbox.ts';
import { DEAD_LETTER_TOPIC, JOBS_SUBSCRIPTION, JOBS_TOPIC, topology } from '../../orders/contract.ts';
import { createPartners } from '../../orders/partners/partner-client.ts';
import { placeOrder } from '../../orders/place-order.ts';
import { registerOrderHandlers } from '../../orders/worker.ts';
import { createPublisher } from '../../publisher/index.ts';
import { applyTopology, connect, createBatchSink } from '../../shared/index.ts';
import { createWorker } from '../../subscriber/index.ts';
import { assertConnected, normalisedTree } from '../../testing/index.ts';
import { createSettledLog } from '../support/settled-log.ts';
import type { Setting } from './suite.ts';

export function orderCompensation({ stage, source }: Setting): void {
  /** The whole reference system in this process, in a project of its own. */
  const startOrders = async () => {
    const sandbox = await startPartnersSandbox();
    const connection = await connect({ projectId: `p-${randomUUID()}`, emulatorHost: stage().host });
    await applyTopology(connection, topology);
    const sink = createBatchSink(connection);
    const publisher = createPublisher({ sink, source: 'shop' });
    const partners = createPartners(sandbox.url);
    const settled = createSettledLog();
    const worker = createWorker({
      source: source.create(connection, { subscription: JOBS_SUBSCRIPTION }),
      sink,
      topic: JOBS_TOPIC,
      deadLetterTopic: DEAD_LETTER_TOPIC,
      onSettled: settled.add,
    });
    registerOrderHandlers(worker, { publisher, partners });
    await worker.start();
    onTestFinished(async () => {
      await worker.stop();
      await connection.close();
      await sandbox.close();
    });
    const orderKey = `O-${randomUUID()}`;
    const place = () =>
      placeOrder({ orderKey, domain: 'shop.example', email: 'owner@shop.example' }, { publisher, partners });
    const effects = () => sandbox.effects(orderKey).map(({ partner, effect }) => `${partner}/${effect}`);
    const story = async () => {
      await stage().flush();
      const [first] = stage().collector.spans.filter(
        ({ attributes }) => attributes['order.event_id'] === orderKey,
      );
      const spans = stage().collector.spans.filter(({ traceId }) => traceId === first?.traceId);
      assertConnected(spans, orderKey);
      return normalisedTree(spans).split('\n');
    };
    return { sandbox, settled, orderKey, place, effects, story };
  };

  const untilSetUp = [
    'place order [shop]',
    '  step redeem-card [shop]',
    '    POST card/redeem [shop]',
    '  step settle-payment [shop]',
    '    POST payment/settle [shop]',
  ];
  const processed = 'process workspace-jobs [shop] attempt=1 link:producer→send workspace-jobs';
  const undone = (step: string, call: string, failed: string) => [
    `send workspace-jobs [shop]`,
    `  ${processed}`,
    `    compensate ${step} [shop] link:undoes→step ${step} link:failed-step→step ${failed}`,
    `      POST ${call} [shop]`,
  ];
  const mailed = (mail: string) => [
    'send workspace-jobs [shop]',
    `  ${processed}`,
    `    POST mail/${mail} [shop]`,
  ];
  const indented = (spaces: number, lines: readonly string[]) =>
    lines.map((line) => ' '.repeat(spaces) + line);

  test('succeeds in one trace', async () => {
    const { place, settled, story, effects } = await startOrders();
    await place();
    await settled.final(2);
    expect(await story()).toEqual([
      ...untilSetUp,
      '  step set-up-workspace [shop]',
      '    send workspace-jobs [shop]',
      `      ${processed}`,
      '        POST workspace/set-up [shop]',
      ...indented(8, mailed('order-confirmed')),
    ]);
    expect(effects()).toEqual(['card/redeem', 'payment/settle', 'workspace/set-up', 'mail/order-confirmed']);
  });

  test('whose set-up fails for good is undone in reverse, each compensation linked to what it undoes', async () => {
    const { sandbox, orderKey, place, settled, story, effects } = await startOrders();
    const fault = { partner: 'workspace', effect: 'set-up', orderKey, status: 422, reason: 'refused' };
    sandbox.addFault({ ...fault, times: Number.POSITIVE_INFINITY });
    await place();
    await settled.final(4);
    expect(await story()).toEqual([
      ...untilSetUp,
      '  step set-up-workspace [shop]',
      '    send workspace-jobs [shop]',
      '      process workspace-jobs [shop] attempt=1 error=PARTNER_REFUSED link:producer→send workspace-jobs',
      '        POST workspace/set-up [shop] error=PARTNER_REFUSED',
      ...indented(8, undone('settle-payment', 'payment/refund', 'set-up-workspace')),
      ...indented(8, undone('redeem-card', 'card/reactivate', 'set-up-workspace')),
      ...indented(8, mailed('order-cancelled')),
      '        send workspace-jobs-dead-letters [shop]',
    ]);
    expect(effects()).toEqual([
      'card/redeem',
      'payment/settle',
      'payment/refund',
      'card/reactivate',
      'mail/order-cancelled',
    ]);
  });

  test('whose payment fails is undone as far as it went, linked to the step that failed', async () => {
    const { sandbox, orderKey, place, settled, story, effects } = await startOrders();
    const fault = { partner: 'payment', effect: 'settle', orderKey, status: 402, reason: 'declined' };
    sandbox.addFault({ ...fault, times: 1 });
    await expect(place()).rejects.toMatchObject({ code: 'PARTNER_REFUSED' });
    await settled.final(2);
    expect(await story()).toEqual([
      'place order [shop] error=PARTNER_REFUSED',
      '  step redeem-card [shop]',
      '    POST card/redeem [shop]',
      '  step settle-payment [shop] error=PARTNER_REFUSED',
      '    POST payment/settle [shop] error=PARTNER_REFUSED',
      ...indented(2, undone('redeem-card', 'card/reactivate', 'settle-payment')),
      ...indented(2, mailed('order-cancelled')),
    ]);
    expect(effects()).toEqual(['card/redeem', 'card/reactivate', 'mail/order-cancelled']);
  });

  test('a compensation that fails at first is retried until it is done, once', async () => {
    const { sandbox, orderKey, place, settled, story, effects } = await startOrders();
    sandbox.addFault({
      partner: 'payment',
      effect: 'settle',
      orderKey,
      status: 402,
      reason: 'declined',
      times: 1,
    });
    sandbox.addFault({
      partner: 'card',
      effect: 'reactivate',
      orderKey,
      status: 503,
      reason: 'busy',
      times: 1,
    });
    await expect(place()).rejects.toThrow();
    await settled.final(2);
    const compensations = (await story()).filter((line) => line.includes('compensate'));
    expect(compensations).toEqual([
      '      compensate redeem-card [shop] error=PARTNER_UNAVAILABLE link:undoes→step redeem-card link:failed-step→step settle-payment',
      '      compensate redeem-card [shop] link:undoes→step redeem-card link:failed-step→step settle-payment',
    ]);
    expect(effects()).toEqual(['card/redeem', 'card/reactivate', 'mail/order-cancelled']);
  });
}
