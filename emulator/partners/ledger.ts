/** One effect at a partner. */
export interface LedgerRow {
  readonly partner: string;
  readonly effect: string;
  readonly orderKey: string;
  readonly idempotencyKey: string;
  /** The partner's own number for it. */
  readonly reference: string;
}

/** Effects in the order in which they happened; a known idempotency key yields the first effect's row again. */
export function createLedger() {
  const byKey = new Map<string, LedgerRow>();
  return {
    record(effect: Omit<LedgerRow, 'reference'>): LedgerRow {
      const key = `${effect.partner}\n${effect.effect}\n${effect.idempotencyKey}`;
      const known = byKey.get(key);
      if (known) return known;
      const row = { ...effect, reference: `${effect.partner}-${byKey.size + 1}` };
      byKey.set(key, row);
      return row;
    },
    of: (orderKey: string): LedgerRow[] => [...byKey.values()].filter((row) => row.orderKey === orderKey),
  };
}
