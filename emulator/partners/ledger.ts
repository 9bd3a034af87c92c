import type { FaultKind } from './faults.ts';

/** One effect at a partner. */
export interface LedgerRow {
  readonly partner: string;
  readonly effect: string;
  readonly orderKey: string;
  readonly idempotencyKey: string;
  /** The partner's own number for it. */
  readonly reference: string;
  /** RFC 3339. */
  readonly at: string;
  /** What it was done to: a domain, a template, an amount. */
  readonly subject: string;
  /** Of an undo: the reference of the effect that it undid. */
  readonly undoes?: string;
  /** Of an effect: the reference of what undid it. */
  readonly undoneBy?: string;
}

/** A call as it came, whatever became of it. */
export interface CallRow {
  readonly partner: string;
  readonly effect: string;
  readonly orderKey: string;
  readonly idempotencyKey: string;
  readonly at: string;
  /** How often this effect was asked for under this key, from 1. */
  readonly arrival: number;
  /** The fault that struck it; latency alone is none. */
  readonly fault?: FaultKind;
  /** The status of the answer, or `nothing` when the connection broke; left out while it is in hand. */
  readonly answered?: number | 'nothing';
}

/** What happened to one order key, or to all, in numbers: for whoever asked for a million effects. Times are RFC 3339. */
export interface LedgerSummary {
  readonly effects: number;
  readonly calls: number;
  /** Calls for an effect under a key that had been asked for before. */
  readonly repeatedCalls: number;
  readonly firstEffectAt: string | undefined;
  readonly lastEffectAt: string | undefined;
}

type Key = Pick<CallRow, 'partner' | 'effect' | 'idempotencyKey'>;

export interface Ledger {
  /** The effect that bore this key. */
  find(key: Key): LedgerRow | undefined;
  record(effect: Omit<LedgerRow, 'reference' | 'at'>): LedgerRow;
  /** Notes that `undone` were undone by `undo`, which is on record. */
  markUndone(undone: readonly LedgerRow[], undo: LedgerRow): void;
  /** In the order in which they happened. */
  rows(orderKey?: string): LedgerRow[];
  /** Notes a call. What is returned notes what became of it. */
  called(
    call: Omit<CallRow, 'at' | 'arrival' | 'fault' | 'answered'>,
  ): (end: Pick<CallRow, 'fault' | 'answered'>) => void;
  calls(orderKey?: string): CallRow[];
  summary(orderKey?: string): LedgerSummary;
}

/** What really happened at the partners: the judge of "exactly once". */
export function createLedger(): Ledger {
  const rows = new Map<string, LedgerRow>();
  const calls: CallRow[] = [];
  const arrivals = new Map<string, number>();
  return {
    find: (key) => rows.get(keyOf(key)),
    record(effect) {
      const reference = `${effect.partner}-${rows.size + 1}`;
      const row = { ...effect, reference, at: new Date().toISOString() };
      rows.set(keyOf(effect), row);
      return row;
    },
    markUndone(undone, { reference }) {
      for (const row of undone) rows.set(keyOf(row), { ...row, undoneBy: reference });
    },
    rows: (orderKey) => ofOrder(rows.values(), orderKey),
    called(call) {
      const arrival = (arrivals.get(keyOf(call)) ?? 0) + 1;
      arrivals.set(keyOf(call), arrival);
      const row = { ...call, at: new Date().toISOString(), arrival };
      const index = calls.push(row) - 1;
      return (end) => {
        calls[index] = { ...row, ...end };
      };
    },
    calls: (orderKey) => ofOrder(calls, orderKey),
    summary(orderKey) {
      const effects = ofOrder(rows.values(), orderKey);
      const asked = ofOrder(calls, orderKey);
      return {
        effects: effects.length,
        calls: asked.length,
        repeatedCalls: asked.filter(({ arrival }) => arrival > 1).length,
        firstEffectAt: effects[0]?.at,
        lastEffectAt: effects.at(-1)?.at,
      };
    },
  };
}

function keyOf({ partner, effect, idempotencyKey }: Key): string {
  return `${partner}/${effect}/${idempotencyKey}`;
}

function ofOrder<Row extends { readonly orderKey: string }>(
  rows: Iterable<Row>,
  orderKey: string | undefined,
): Row[] {
  return [...rows].filter((row) => orderKey === undefined || row.orderKey === orderKey);
}
