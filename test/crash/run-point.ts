import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { judgeLedger } from '../../emulator/partners/judge.ts';
import { findDisconnections, type SpanRecord } from '../../insight/index.ts';
import { sendNotification } from '../../orders/contract.ts';
import type { OrderView } from '../../orders/http/schemas.ts';
import { pressAtBank, returnToShop } from '../../scripts/system/browser.ts';
import { JOB_NAME, JOB_OUTCOME, SAGA_OUTCOME } from '../../shared/trace/semconv.ts';
import type { CrashSystem } from '../support/crash-system.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import type { Course, Point } from './points.ts';

const PAUSE_MS = 20;

const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

/** An order on its way to the place where its process is killed. */
interface Run {
  readonly point: Point;
  readonly orderKey: string;
}

/**
 * Runs an order for each point, kills the process once every one of them is where its point says, and looks at how they
 * end. Shape: one promise per point, in order, that rejects when the order did not end as if nothing had been.
 */
export async function runPoints(
  system: CrashSystem,
  points: readonly Point[],
): Promise<PromiseSettledResult<void>[]> {
  const runs = points.map((point) => ({ point, orderKey: `O-${randomBytes(4).toString('hex')}` }));
  const [first] = points;
  if (!first) return [];
  for (const { point, orderKey } of runs) prepare(system, point.course, orderKey);
  const crashed = crashAt(
    system,
    first.role,
    runs.map(({ point, orderKey }) => ({ ...point, orderKey })),
  );
  const customers = runs.map(({ point, orderKey }) => beCustomer(system, point.course, orderKey));
  for (const customer of customers) customer.catch(() => {}); // told below
  const late = await crashed;
  return Promise.allSettled(
    runs.map(async (run, index) => {
      await customers[index];
      await judge(system, run, late[index] ?? []);
    }),
  );
}

async function judge(
  system: CrashSystem,
  { point: { course }, orderKey }: Run,
  late: readonly (() => void)[],
): Promise<void> {
  await ended(system, orderKey);
  // A request that was on its way when its sender died arrives now, when nobody waits for it any more.
  for (const arrive of late) arrive();
  await assertEndedWell(system, orderKey, course);
}

/** Waits for the order's end. Its effects are there once, or once and undone once, and its spans hang together. */
export async function assertEndedWell(
  system: CrashSystem,
  orderKey: string,
  course: Course = 'confirmed',
): Promise<void> {
  const order = await ended(system, orderKey);
  expect(order.state).toBe(course === 'compensated' ? 'compensated' : 'confirmed');
  await assertConnected(system, course, orderKey);
  await assertEffects(system, course, orderKey);
}

function prepare({ stage }: CrashSystem, course: Course, orderKey: string): void {
  if (course !== 'compensated') return;
  const setUp = { partner: 'workspace', effect: 'set-up', orderKey };
  stage.sandbox.faults.add({ ...setUp, kind: 'lost-answer', times: 1 });
  stage.sandbox.faults.add({ ...setUp, kind: 'refuse' });
}

type Reach = Omit<Point, 'name' | 'course'> & Pick<Run, 'orderKey'>;

/** Shape: for each order what lets its calls go that were kept back. */
async function crashAt(
  system: CrashSystem,
  role: Point['role'],
  orders: readonly Reach[],
): Promise<(() => void)[][]> {
  const late = await Promise.all(orders.map((order) => inTime(reach(system, order))));
  const following = orders.map(async ({ next, orderKey }) =>
    next ? await crashAt(system, next.role, [{ ...next, orderKey }]) : [],
  );
  await system.crash(role);
  const later = await Promise.all(following);
  return late.map((own, index) => [...own, ...(later[index] ?? []).flat()]);
}

async function reach(
  { stage, pg }: CrashSystem,
  { role, when, place, orderKey }: Reach,
): Promise<(() => void)[]> {
  if (place.at === 'effect') {
    const { held, release } = stage.gate.hold({ what: place.what, orderKey, when });
    await held;
    return [release];
  }
  let left = place.nth ?? 1;
  const matches: typeof place.matches = (statement) => place.matches(statement) && --left === 0;
  await pg[role].reach({ matches, when });
  return [];
}

/** Errors: Error when nothing comes to the point. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error('the point was never reached')), PATIENCE_MS);
  return Promise.race([work, late.promise]).finally(() => clearTimeout(timer));
}

/** Places an order, again and again until it is answered. From five users on the bank wants to see the customer. */
export async function place({ client }: CrashSystem, orderKey: string, quantity = 1): Promise<void> {
  const order = {
    orderKey,
    domain: 'shop.example',
    email: 'owner@shop.example',
    items: [{ sku: 'workspace-standard' as const, quantity }],
  };
  await untilAnswered(() => client.place(order, `key-${orderKey}`));
}

/** Places the order, and pays it. */
async function beCustomer(system: CrashSystem, course: Course, orderKey: string): Promise<void> {
  const { client } = system;
  await place(system, orderKey, course === 'approved' ? 5 : 1);
  if (course !== 'approved') return;
  const { action } = await untilAnswered(async () => {
    const view = await client.show(orderKey);
    if (!view.action) throw new Error(`${orderKey} has nothing to approve yet; it is ${view.state}`);
    return view;
  });
  const wayBack = await pressAtBank(action?.url ?? '', 'approve');
  await untilAnswered(() => returnToShop(wayBack));
}

async function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
  const givesUpAtMs = performance.now() + PATIENCE_MS;
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
    .waitFor((all) => isWhole(all.byOrder(orderKey)), { timeoutMs: PATIENCE_MS })
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
