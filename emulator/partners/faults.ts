/** A partner's misbehaviour. What is left out applies to every partner, effect or order. */
export interface Fault {
  readonly partner?: string;
  readonly effect?: string;
  readonly orderKey?: string;
  /**
   * `error`: answers with `status` (default 503), nothing happened. `refuse`: the same for good (default 422).
   * `rate-limit`: 429 with `Retry-After`. `reset`: the connection breaks, nothing happened. `lost-answer`: it happened, then
   * the connection breaks. `latency`: it is slow, and all is well.
   */
  readonly kind: FaultKind;
  /** How often it strikes. Default: without end. */
  readonly times?: number;
  /** How likely it strikes, 0 to 1. Default 1. */
  readonly rate?: number;
  readonly status?: number;
  readonly retryAfterSeconds?: number;
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

export interface Faults {
  add(fault: Fault): void;
  clear(): void;
  /** The fault that strikes this call, if one does; it is used up by it. */
  strike(call: Call): Fault | undefined;
}

/** The faults that are still to strike, first added first. `random` yields numbers from 0 to below 1. */
export function createFaults(random: () => number): Faults {
  let faults: { readonly fault: Fault; left: number }[] = [];
  return {
    add(fault) {
      faults.push({ fault, left: fault.times ?? Number.POSITIVE_INFINITY });
    },
    clear() {
      faults = [];
    },
    strike(call) {
      const entry = faults.find(
        ({ fault, left }) =>
          left > 0 && applies(fault, call) && (fault.rate === undefined || random() < fault.rate),
      );
      if (entry) entry.left -= 1;
      return entry?.fault;
    },
  };
}

function applies(fault: Fault, call: Call): boolean {
  return (['partner', 'effect', 'orderKey'] as const).every(
    (field) => fault[field] === undefined || fault[field] === call[field],
  );
}

/** A generator of numbers from 0 to below 1 that repeats itself for the same seed. Source: Mulberry32, T. Ettinger. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
