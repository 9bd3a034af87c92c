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
}

/** A call as it came, whatever became of it. */
export interface CallRow {
  readonly partner: string;
  readonly effect: string;
  readonly orderKey: string;
  readonly idempotencyKey: string;
  readonly at: string;
}

export interface Ledger {
  /** Of a key that is known: the first effect's row. */
  find(partner: string, effect: string, idempotencyKey: string): LedgerRow | undefined;
  record(effect: Omit<LedgerRow, 'reference' | 'at'>): LedgerRow;
  isUndone(reference: string): boolean;
  /** In the order in which they happened. */
  rows(orderKey?: string): LedgerRow[];
  called(call: Omit<CallRow, 'at'>): void;
  calls(orderKey?: string): CallRow[];
}

/** What really happened at the partners: the judge of "exactly once". */
export function createLedger(): Ledger {
  const byKey = new Map<string, LedgerRow>();
  const undone = new Set<string>();
  const calls: CallRow[] = [];
  const keyOf = (partner: string, effect: string, key: string) => `${partner}\n${effect}\n${key}`;
  const ofOrder = <Row extends { orderKey: string }>(rows: Iterable<Row>, orderKey: string | undefined) =>
    [...rows].filter((row) => orderKey === undefined || row.orderKey === orderKey);
  return {
    find: (partner, effect, key) => byKey.get(keyOf(partner, effect, key)),
    record(effect) {
      const row = {
        ...effect,
        reference: `${effect.partner}-${byKey.size + 1}`,
        at: new Date().toISOString(),
      };
      byKey.set(keyOf(effect.partner, effect.effect, effect.idempotencyKey), row);
      if (effect.undoes !== undefined) undone.add(effect.undoes);
      return row;
    },
    isUndone: (reference) => undone.has(reference),
    rows: (orderKey) => ofOrder(byKey.values(), orderKey),
    called: (call) => void calls.push({ ...call, at: new Date().toISOString() }),
    calls: (orderKey) => ofOrder(calls, orderKey),
  };
}
