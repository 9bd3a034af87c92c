import type { Fault } from '../../emulator/partners/faults.ts';
import type { Decision } from '../system/browser.ts';
import { createRandom, type Random } from './random.ts';

export const PROCESSES = ['order-service-1', 'order-service-2', 'worker-1', 'worker-2', 'relay'] as const;
export type ProcessName = (typeof PROCESSES)[number];

/** Something that is taken away, and given back. */
export interface Blow {
  /** Since the beginning of the load, in ms. */
  readonly atMs: number;
  readonly target: ProcessName | 'emulator' | 'postgres';
  /** `kill`: SIGKILL. PostgreSQL is stopped `fast`, as by its operator, or `immediate`, as by a power cut. */
  readonly how: 'kill' | 'fast' | 'immediate';
  /** How long it stays away, in ms. */
  readonly downMs: number;
}

export interface PlannedOrder {
  readonly atMs: number;
  readonly orderKey: string;
  /** What the customer does at the bank; undefined: the bank does not ask. */
  readonly atBank: Decision | 'ignore' | undefined;
}

/** What happens in a run: the same for the same seed and length. */
export interface Plan {
  readonly seed: number;
  readonly lengthMs: number;
  readonly blows: readonly Blow[];
  readonly orders: readonly PlannedOrder[];
  readonly faults: readonly Fault[];
}

const TARGETS = [...PROCESSES, 'emulator', 'postgres'] as const;
const ORDER_EVERY_MS = 330;
/** Between two blows, in ms. */
const PAUSE_MS = [900, 3_600] as const;

export function makePlan(seed: number, lengthMs: number): Plan {
  return {
    seed,
    lengthMs,
    blows: planBlows(createRandom(seed, 'blows'), lengthMs),
    orders: planOrders(createRandom(seed, 'orders'), seed, lengthMs),
    faults: planFaults(createRandom(seed, 'faults')),
  };
}

/** Everything is hit once before anything is hit twice. */
function planBlows(random: Random, lengthMs: number): Blow[] {
  const blows: Blow[] = [];
  let left: Blow['target'][] = [];
  for (let atMs = random.between(500, 2_000); atMs < lengthMs; atMs += random.between(...PAUSE_MS)) {
    if (left.length === 0) left = [...TARGETS];
    const [target] = left.splice(Math.floor(random.next() * left.length), 1);
    if (target === undefined) break;
    const how: Blow['how'] = target === 'postgres' ? random.pick<Blow['how']>(['fast', 'immediate']) : 'kill';
    blows.push({ atMs: Math.round(atMs), target, how, downMs: Math.round(random.between(50, 1_500)) });
  }
  return blows;
}

function planOrders(random: Random, seed: number, lengthMs: number): PlannedOrder[] {
  return Array.from({ length: Math.floor(lengthMs / ORDER_EVERY_MS) }, (_, index) => ({
    atMs: Math.round(index * ORDER_EVERY_MS + random.between(0, ORDER_EVERY_MS)),
    orderKey: `O-${seed}-${index + 1}`,
    atBank: random.pick([undefined, undefined, undefined, 'approve', 'approve', 'decline', 'ignore']),
  }));
}

/** Each partner has its own bad days; the workspace's now and then refuses for good, so that orders are undone. */
function planFaults(random: Random): Fault[] {
  const rate = (most: number) => Number(random.between(most / 4, most).toFixed(3));
  const partners = ['account', 'card', 'payment', 'registrar', 'workspace', 'mail'];
  return [
    { partner: 'workspace', effect: 'set-up', kind: 'refuse', rate: rate(0.12) },
    { partner: 'registrar', kind: 'refuse', rate: rate(0.08) },
    ...partners.flatMap((partner): Fault[] => [
      { partner, kind: 'lost-answer', rate: rate(0.1) },
      { partner, kind: 'reset', rate: rate(0.06) },
      { partner, kind: 'error', rate: rate(0.08) },
      { partner, kind: 'rate-limit', rate: rate(0.05), retryAfterSeconds: 0.5 },
      { partner, kind: 'latency', rate: rate(0.3), latencyMs: Math.round(random.between(50, 1_200)) },
    ]),
  ];
}
