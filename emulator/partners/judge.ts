import type { LedgerRow } from './ledger.ts';

/** What became of the effects of one order. */
export interface OrderJudgement {
  /** `partner/effect` of what was not undone. */
  readonly standing: readonly string[];
  /** `partner/effect` of what was undone. */
  readonly undone: readonly string[];
  /** Sentences: what happened twice, or was undone twice. */
  readonly doubles: readonly string[];
}

/** The same of all orders together, and of each by its key. */
export interface LedgerJudgement extends OrderJudgement {
  readonly orders: ReadonlyMap<string, OrderJudgement>;
}

/**
 * Judges the ledger, order by order. Every effect may happen once, and be undone once: an order takes one card, one
 * payment, one workspace, and of mails one a template. What happened twice is a double even if one of them was undone.
 */
export function judgeLedger(rows: readonly LedgerRow[]): LedgerJudgement {
  const orders = new Map(
    [...Map.groupBy(rows, ({ orderKey }) => orderKey)].map(
      ([orderKey, own]) => [orderKey, judgeOrder(orderKey, own)] as const,
    ),
  );
  const all = [...orders.values()];
  return {
    orders,
    standing: all.flatMap(({ standing }) => standing),
    undone: all.flatMap(({ undone }) => undone),
    doubles: all.flatMap(({ doubles }) => doubles),
  };
}

function judgeOrder(orderKey: string, rows: readonly LedgerRow[]): OrderJudgement {
  const undos = Map.groupBy(
    rows.filter(({ undoes }) => undoes !== undefined),
    ({ undoes }) => undoes,
  );
  const effects = rows.filter(({ undoes }) => undoes === undefined);
  const isUndone = ({ reference, undoneBy }: LedgerRow) => undoneBy !== undefined || undos.has(reference);
  const happenedTwice = [...Map.groupBy(effects, whatOf)]
    .filter(([, same]) => same.length > 1)
    .map(([what, same]) => {
      const which = same.map((row) => `${row.reference}${isUndone(row) ? ', undone' : ''}`);
      return `${orderKey}: ${what} happened ${same.length} times (${which.join('; ')})`;
    });
  const undoneTwice = [...undos]
    .filter(([, same]) => same.length > 1)
    .map(([reference, same]) => `${orderKey}: ${reference} was undone ${same.length} times`);
  return {
    standing: effects.filter((row) => !isUndone(row)).map(nameOf),
    undone: effects.filter(isUndone).map(nameOf),
    doubles: [...happenedTwice, ...undoneTwice],
  };
}

function nameOf({ partner, effect }: LedgerRow): string {
  return `${partner}/${effect}`;
}

function whatOf(row: LedgerRow): string {
  return row.partner === 'mail' ? `${nameOf(row)} ${row.subject}` : nameOf(row);
}
