import type { SpanRecord } from '../../insight/index.ts';
import { createOrderClient, type OrderClient } from '../../orders/http/order-client.ts';
import type { OrderView } from '../../orders/http/schemas.ts';
import { decideAtBank } from '../system/browser.ts';
import type { RunningSystem } from '../system/system.ts';
import type { OrderReport } from './report.ts';
import type { FaultSpec, Scenario } from './scenario.ts';
import { isComplete, judge } from './verdict.ts';

/** Places an order, does what its customer and its misfortune do, and judges what became of it. Errors: none of the order's. */
export async function runOrder(
  scenario: Scenario,
  system: RunningSystem,
  timeoutMs: number,
): Promise<OrderReport> {
  const { orderKey } = scenario.order;
  const { sandbox, store, orderService } = system;
  for (const fault of scenario.faults) await sandbox.faults.add({ ...withTimes(fault), orderKey });
  const client = createOrderClient(orderService.ready.url);
  const killing = scenario.killsWorker ? killWorkerDuringSetUp(system, orderKey) : undefined;
  const signal = AbortSignal.timeout(timeoutMs);
  const order = await Promise.race([follow(client, scenario, signal), orderService.died]).catch(
    () => undefined,
  );
  await killing;
  const awaited = store.waitFor((all) => complete(all.byOrder(orderKey), orderKey), { timeoutMs });
  const spans = await awaited.catch(() => store.byOrder(orderKey));
  const effects = await sandbox.effects(orderKey);
  return { scenario, spans, verdict: judge(scenario, { order, effects, spans }) };
}

function complete(spans: readonly SpanRecord[], orderKey: string): readonly SpanRecord[] | undefined {
  return isComplete(spans, orderKey) ? spans : undefined;
}

/** Shape: the order as it was when it ended, or when the time was over. */
async function follow(
  client: OrderClient,
  { order, decision }: Scenario,
  signal: AbortSignal,
): Promise<OrderView> {
  let latest = await client.place(order, `demo-${order.orderKey}`);
  let wentToBank = false;
  try {
    for await (const view of client.follow(order.orderKey, signal)) {
      latest = view;
      if (!view.action || wentToBank || decision === 'ignore') continue;
      wentToBank = true;
      await decideAtBank(view.action.url, decision);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return latest;
}

/** Kills the worker once its call has arrived at the partner, and starts another. */
async function killWorkerDuringSetUp(system: RunningSystem, orderKey: string): Promise<void> {
  await system.sandbox.called({ orderKey, partner: 'workspace', effect: 'set-up' });
  await system.worker.kill();
  await system.startWorker('order-worker');
}

function withTimes({ times, status, latencyMs, ...fault }: FaultSpec) {
  return {
    ...fault,
    ...(times !== 'always' && { times }),
    ...(status !== undefined && { status }),
    ...(latencyMs !== undefined && { latencyMs }),
  };
}
