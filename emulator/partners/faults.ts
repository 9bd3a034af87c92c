import { hash } from 'node:crypto';

/** A partner's misbehaviour. What is left out applies to every partner, effect or order. */
export interface Fault {
  readonly partner?: string;
  readonly effect?: string;
  readonly orderKey?: string;
  /**
   * `error`: answers with `status` (default 503), nothing happened. `refuse`: the same for good (default 422).
   * `rate-limit`: 429 with `Retry-After`. `reset`: the connection breaks, nothing happened. `lost-answer`: it happened, then
   * the connection breaks. `latency`: it is slow by `latencyMs`, also when another fault strikes it.
   */
  readonly kind: FaultKind;
  /** How often it strikes. Default: without end. */
  readonly times?: number;
  /** How likely it strikes, 0 to 1. Default 1. */
  readonly rate?: number;
  /** Of `error` and `refuse`. */
  readonly status?: number;
  /** Of `rate-limit`. Default 1. */
  readonly retryAfterSeconds?: number;
  /** Of `latency`. Default 1_000. */
  readonly latencyMs?: number;
  readonly reason?: string;
}

export const FAULT_KINDS = ['error', 'refuse', 'rate-limit', 'reset', 'lost-answer', 'latency'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** What is asked of a partner. */
export interface Call {
  readonly partner: string;
  readonly effect: string;
  readonly orderKey: string;
}

/** What a call meets with. */
export interface Strike {
  readonly latencyMs: number;
  readonly fault: Fault | undefined;
}

export interface Faults {
  add(fault: Fault): void;
  clear(): void;
  /** The faults that strike this call: one of each, of latency and of the rest; they are used up by it. */
  strike(call: Call): Strike;
}

interface Entry {
  readonly number: number;
  readonly fault: Fault;
  left: number;
}

/** The faults that are still to strike, first added first. */
export function createFaults(seed: number): Faults {
  let entries: Entry[] = [];
  let added = 0;
  const arrivals = new Map<string, number>();

  const take = (call: Call, arrival: string, isWanted: (fault: Fault) => boolean): Fault | undefined => {
    const entry = entries.find(
      ({ number, fault, left }) =>
        left > 0 &&
        isWanted(fault) &&
        applies(fault, call) &&
        (fault.rate === undefined || chance(`${seed} ${number} ${arrival}`) < fault.rate),
    );
    if (entry) entry.left -= 1;
    return entry?.fault;
  };

  return {
    add(fault) {
      entries.push({ number: added++, fault, left: fault.times ?? Number.POSITIVE_INFINITY });
    },
    clear() {
      entries = [];
    },
    strike(call) {
      const what = `${call.partner}/${call.effect} ${call.orderKey}`;
      const times = (arrivals.get(what) ?? 0) + 1;
      arrivals.set(what, times);
      const arrival = `${times} ${what}`;
      const slow = take(call, arrival, ({ kind }) => kind === 'latency');
      const fault = take(call, arrival, ({ kind }) => kind !== 'latency');
      return { latencyMs: slow ? (slow.latencyMs ?? 1_000) : 0, fault };
    },
  };
}

function applies(fault: Fault, call: Call): boolean {
  return (['partner', 'effect', 'orderKey'] as const).every(
    (field) => fault[field] === undefined || fault[field] === call[field],
  );
}

/**
 * A number from 0 to below 1 that is the same for the same text.
 *
 * Drawn from what is asked and not from a running generator: orders run side by side, so which call comes first differs
 * from run to run, and the same faults shall strike the same calls all the same.
 */
function chance(text: string): number {
  return Number.parseInt(hash('sha256', text).slice(0, 8), 16) / 2 ** 32;
}
