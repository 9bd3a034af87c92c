import { expect } from 'vitest';
import { judgeLedger } from '../../emulator/partners/judge.ts';
import { findDisconnections, type SpanRecord } from '../../insight/index.ts';
import { sendNotification } from '../../orders/contract.ts';
import type { OrderView } from '../../orders/http/schemas.ts';
import { decideAtBank } from '../../scripts/system/browser.ts';
import { JOB_NAME, JOB_OUTCOME, SAGA_OUTCOME } from '../../shared/trace/semconv.ts';
import type { CrashSystem } from '../support/crash-system.ts';
import type { Course, Point } from './points.ts';

const END_TIMEOUT_MS = 25_000;
const PAUSE_MS = 20;

const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

/** Runs an order, kills the process at the point, and asserts that the order ends as if nothing had been. */
export async function runPoint(system: CrashSystem, point: Point, orderKey: string): Promise<void> {
  const { course } = point;
  await prepare(system, course, orderKey);
  const crashed = crashAt(system, point, orderKey);
  const customer = beCustomer(system, course, orderKey);
  const late = await crashed;
  await customer;
  const order = await ended(system, orderKey);
  // A request that was on its way when its sender died arrives now, when nobody waits for it any more.
  for (const arrive of late) arrive();
  expect(order.state).toBe(course === 'compensated' ? 'compensated' : 'confirmed');
  await assertConnected(system, course, orderKey);
  await assertEffects(system, course, orderKey);
}

async function prepare({ stage }: CrashSystem, course: Course, orderKey: string): Promise<void> {
  if (course !== 'compensated') return;
  const setUp = { partner: 'workspace', effect: 'set-up', orderKey };
  stage.sandbox.faults.add({ ...setUp, kind: 'lost-answer', times: 1 });
  stage.sandbox.faults.add({ ...setUp, kind: 'refuse' });
}

/** Shape: what lets the calls go that were kept back. */
async function crashAt(
  system: CrashSystem,
  point: Omit<Point, 'name' | 'course'>,
  orderKey: string,
): Promise<(() => void)[]> {
  const release = await reach(system, point, orderKey);
  const second = point.then && crashAt(system, point.then, orderKey);
  await system.crash(point.role);
  return [...release, ...((await second) ?? [])];
}

async function reach(
  system: CrashSystem,
  { role, when, place }: Omit<Point, 'name' | 'course'>,
  orderKey: string,
): Promise<(() => void)[]> {
  if (place.at === 'effect') {
    const { held, release } = system.stage.gate.hold({ what: place.what, orderKey, when });
    await held;
    return [release];
  }
  let left = place.nth ?? 1;
  const matches = (statement: Parameters<typeof place.matches>[0]) =>
    place.matches(statement) && --left === 0;
  await system.pg[role].reach({ matches, when });
  return [];
}

/** Places the order, again and again until it is answered, and pays it. */
async function beCustomer({ client }: CrashSystem, course: Course, orderKey: string): Promise<void> {
  const quantity = course === 'approved' ? 5 : 1;
  const order = {
    orderKey,
    domain: 'shop.example',
    email: 'owner@shop.example',
    items: [{ sku: 'workspace-standard' as const, quantity }],
  };
  await untilAnswered(() => client.place(order, `key-${orderKey}`));
  if (course !== 'approved') return;
  const { action } = await untilAnswered(async () => {
    const view = await client.show(orderKey);
    if (!view.action) throw new Error(`${orderKey} has nothing to approve yet; it is ${view.state}`);
    return view;
  });
  await untilAnswered(() => decideAtBank(action?.url ?? '', 'approve'));
}

async function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
  const givesUpAtMs = performance.now() + END_TIMEOUT_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (performance.now() > givesUpAtMs) throw error;
      await pause();
    }
  }
}

function ended({ client }: CrashSystem, orderKey: string): Promise<OrderView> {
  return untilAnswered(async () => {
    const view = await client.show(orderKey);
    if (view.endedAt === undefined) throw new Error(`${orderKey} has not ended: ${JSON.stringify(view)}`);
    return view;
  });
}

/** Spans of a dead process's last moments are told again by the next one, so they are waited for. */
async function assertConnected({ stage }: CrashSystem, course: Course, orderKey: string): Promise<void> {
  const isWhole = (spans: readonly SpanRecord[]) =>
    spans.some(({ attributes }) => attributes[SAGA_OUTCOME] !== undefined) &&
    (course === 'compensated' || spans.some(isMailDone)) &&
    findDisconnections(spans, orderKey).length === 0;
  await stage.store
    .waitFor((all) => isWhole(all.byOrder(orderKey)), { timeoutMs: END_TIMEOUT_MS })
    .catch(() => {});
  const spans = stage.store.byOrder(orderKey);
  expect(findDisconnections(spans, orderKey).map(({ kind, message }) => `${kind}: ${message}`)).toEqual([]);
  expect(isWhole(spans), 'the saga and the mail have told their end').toBe(true);
}

function isMailDone({ attributes }: SpanRecord): boolean {
  return attributes[JOB_NAME] === sendNotification.name && attributes[JOB_OUTCOME] === 'done';
}

const UNDONE = ['card/redeem', 'payment/prepare', 'payment/capture', 'workspace/set-up'];
const KEPT = ['account/verify', 'payment/register-card', 'registrar/acquire'];

async function assertEffects(
  { stage, database }: CrashSystem,
  course: Course,
  orderKey: string,
): Promise<void> {
  const isUndone = course === 'compensated';
  const { doubles, standing, undone } = judgeLedger(stage.sandbox.effects(orderKey));
  expect({ doubles, standing: standing.toSorted(), undone: undone.toSorted() }).toEqual({
    doubles: [],
    standing: (isUndone ? KEPT : [...KEPT, ...UNDONE, 'mail/send']).toSorted(),
    undone: isUndone ? UNDONE.toSorted() : [],
  });
  const { rows } = await database.query('SELECT 1 FROM shop.contract WHERE order_key = $1', [orderKey]);
  expect(rows.length, 'contracts').toBe(isUndone ? 0 : 1);
}
