import type { LedgerRow } from './ledger.ts';

export interface LedgerJudgement {
  /** `partner/effect` of what was not undone. */
  readonly standing: readonly string[];
  /** `partner/effect` of what was undone. */
  readonly undone: readonly string[];
  /** Sentences: what happened twice to one order. */
  readonly doubles: readonly string[];
}

/**
 * Judges the ledger of one order: each effect may stand once, and be undone once. (An order takes one card, one payment,
 * one workspace; of mails one a template.)
 */
export function judgeLedger(rows: readonly LedgerRow[]): LedgerJudgement {
  const undoOf = Map.groupBy(
    rows.filter(({ undoes }) => undoes !== undefined),
    ({ undoes }) => undoes,
  );
  const effects = rows.filter(({ undoes }) => undoes === undefined);
  const [undone, standing] = [true, false].map((isUndone) =>
    effects.filter(({ reference }) => undoOf.has(reference) === isUndone),
  );
  const doubles = [...Map.groupBy(standing ?? [], whatOf)]
    .filter(([, same]) => same.length > 1)
    .map(
      ([what, same]) =>
        `${what} happened ${same.length} times (${same.map((row) => row.reference).join(', ')})`,
    );
  const undoneTwice = [...undoOf]
    .filter(([, undos]) => undos.length > 1)
    .map(([reference, undos]) => `${reference} was undone ${undos.length} times`);
  return {
    standing: (standing ?? []).map(nameOf),
    undone: (undone ?? []).map(nameOf),
    doubles: [...doubles, ...undoneTwice],
  };
}

function nameOf({ partner, effect }: LedgerRow): string {
  return `${partner}/${effect}`;
}

function whatOf(row: LedgerRow): string {
  return row.partner === 'mail' ? `${nameOf(row)} ${row.subject}` : nameOf(row);
}
