import { setTimeout as delay } from 'node:timers/promises';
import { createStops } from '../system/stops.ts';
import { audit, disconnection, type Findings, isSettled } from './audit.ts';
import { beCustomer, type Experience } from './customer.ts';
import { buildHouse, type House } from './house.ts';
import type { Blow, Plan } from './plan.ts';

export interface ChaosOptions {
  readonly plan: Plan;
  /** How long orders may take to end once everything is well again, in ms. */
  readonly settleMs: number;
  readonly onProgress: (text: string) => void;
}

export interface ChaosResult extends Findings {
  /** Processes that ended although nobody had them killed, with the last that they said. */
  readonly ended: readonly string[];
}

const POLL_MS = 250;
/** Spans may come a little after what they tell of, in ms. */
const SPANS_TIMEOUT_MS = 15_000;

export async function runChaos({ plan, settleMs, onProgress }: ChaosOptions): Promise<ChaosResult> {
  const stops = createStops();
  const ended: string[] = [];
  try {
    onProgress('starting PostgreSQL, Pub/Sub, the partners, two order services, two workers and a relay');
    const house = await buildHouse({
      seed: plan.seed,
      stops,
      onUnwanted: (name, what, error) => {
        onProgress(`         ${name} ${what}: ${firstLine(error)}`);
        if (what === 'ended') ended.push(`${name}: ${firstLine(error)}`);
      },
    });
    for (const fault of plan.faults) await house.sandbox.faults.add(fault);
    const gaveUp = new AbortController();
    const startedMs = performance.now();
    const customers = plan.orders.map((order) => arrive(order, house, gaveUp.signal));
    const blows = strike(plan.blows, house, startedMs, onProgress);
    await delay(plan.lengthMs);
    await blows;
    await house.sandbox.faults.clear();
    await house.healthy();
    onProgress(`${seconds(startedMs)} everything is well again; waiting for the orders to end`);
    const experiences = await settle({ house, customers, gaveUp, settleMs });
    onProgress(`${seconds(startedMs)} looking at what became of them`);
    return { ...(await audit(house, experiences)), ended };
  } finally {
    await stops.run();
  }
}

async function arrive(
  order: Plan['orders'][number],
  { urls }: House,
  signal: AbortSignal,
): Promise<Experience> {
  await delay(order.atMs);
  return beCustomer({ order, urls, signal });
}

/** One part may be away while another is hit; the same part is not hit before it is there again. */
async function strike(
  blows: readonly Blow[],
  house: House,
  startedMs: number,
  onProgress: (text: string) => void,
): Promise<void> {
  const suffered: Promise<void>[] = [];
  let postgres: Promise<void> = Promise.resolve();
  for (const blow of blows) {
    await delay(Math.max(0, startedMs + blow.atMs - performance.now()));
    onProgress(`${seconds(startedMs)} ${blow.how} ${blow.target}, away for ${blow.downMs} ms`);
    if (blow.target === 'postgres') {
      postgres = postgres.then(() => house.suffer(blow));
      suffered.push(postgres);
    } else suffered.push(house.suffer(blow));
  }
  await Promise.all(suffered);
}

interface Settling {
  readonly house: House;
  readonly customers: readonly Promise<Experience>[];
  readonly gaveUp: AbortController;
  readonly settleMs: number;
}

async function settle({ house, customers, gaveUp, settleMs }: Settling): Promise<Experience[]> {
  const timer = setTimeout(() => gaveUp.abort(), settleMs);
  const experiences = await Promise.all(customers);
  await until(() => isSettled(house.database), settleMs);
  clearTimeout(timer);
  await until(
    async () => experiences.every(({ orderKey }) => !disconnection(house, orderKey)),
    SPANS_TIMEOUT_MS,
  );
  return experiences;
}

async function until(isSo: () => Promise<boolean>, timeoutMs: number): Promise<void> {
  const givesUpAtMs = performance.now() + timeoutMs;
  while (!(await isSo()) && performance.now() < givesUpAtMs) await delay(POLL_MS);
}

function seconds(startedMs: number): string {
  return `${((performance.now() - startedMs) / 1_000).toFixed(1).padStart(6)} s`;
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error)
    .split('\n')
    .slice(0, 3)
    .join(' ')
    .slice(0, 300);
}
