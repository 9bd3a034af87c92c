import { findDisconnections, type SpanRecord } from '../../insight/index.ts';
import { readSaga } from '../../publisher/saga/index.ts';
import type { Database } from '../../shared/storage/database.ts';
import { spanContextOf } from '../../shared/trace/carrier.ts';
import { isOrderKept, thresholdOf } from '../../shared/trace/sampling.ts';
import { ORDER_KEY, SAMPLING_KEPT } from '../../shared/trace/semconv.ts';
import { type Fate, fateOf, hasFailed, orderKeyOf } from './fate.ts';

export interface AuditOptions {
  readonly spans: readonly SpanRecord[];
  readonly database: Database;
  /** By the order's number. */
  readonly sagaIds: readonly string[];
  readonly keep: number;
  readonly slowMs: number;
}

export interface Audit {
  readonly orders: number;
  /** Orders of which any span came, by fate. */
  readonly kept: Readonly<Record<Fate, { readonly orders: number; readonly kept: number }>>;
  /** Of the orders with which nothing was the matter, those that were kept though they were not slow. */
  readonly keptShare: number;
  readonly slowByItself: number;
  readonly spans: number;
  /** Every one a sentence. */
  readonly problems: readonly string[];
}

/**
 * What came of a load, against what was to come: every order that failed, or in which something failed or was slow, whole,
 * with each attempt of the journal; of the others those that their coin keeps, whole, and nothing of the rest.
 */
export async function audit({ spans, database, sagaIds, keep, slowMs }: AuditOptions): Promise<Audit> {
  const byKey = Map.groupBy(spans, ({ attributes }) => attributes[ORDER_KEY]);
  const problems: string[] = [];
  const keyless = byKey.get(undefined) ?? [];
  if (keyless.length > 0)
    problems.push(`${keyless.length} spans bear no order key, "${keyless[0]?.name}" first`);
  const kept: Record<string, { orders: number; kept: number }> = {};
  const threshold = thresholdOf(keep);
  let slowByItself = 0;
  for (const [order, sagaId] of sagaIds.entries()) {
    const [key, fate] = [orderKeyOf(order), fateOf(order)];
    const own = byKey.get(key) ?? [];
    kept[fate] ??= { orders: 0, kept: 0 };
    const tally = kept[fate];
    tally.orders += 1;
    if (own.length > 0) tally.kept += 1;
    // The machine itself may be slow for a moment.
    const isSlow = fate === 'plain' && own.some((span) => isKeptAsSlow(span, slowMs));
    if (isSlow) slowByItself += 1;
    const isDue = fate !== 'plain' || isSlow || isOrderKept(key, threshold);
    if (isDue === own.length > 0) {
      const wasPlain = fate === 'plain' && !isSlow;
      if (isDue) problems.push(...(await wholeness(key, fate, own, { database, sagaId, wasPlain })));
    } else
      problems.push(
        `order ${key} (${fate}) is ${isDue ? 'missing' : `there: ${own.map(({ name }) => name)}`}`,
      );
  }
  const { orders = 0, kept: keptPlain = 0 } = kept['plain'] ?? {};
  return {
    orders: sagaIds.length,
    kept: kept as Audit['kept'],
    // What the coin keeps is not told to be slow: the others are all that it dropped.
    keptShare: (keptPlain - slowByItself) / orders,
    slowByItself,
    spans: spans.length,
    problems,
  };
}

/** None of these orders waits for a customer: all of its time counts. */
function isKeptAsSlow({ name, attributes, startMs, endMs }: SpanRecord, slowMs: number): boolean {
  if (attributes[SAMPLING_KEPT] === 'slow') return true;
  return name === SAGA_SPAN && attributes[SAMPLING_KEPT] === 'journal' && endMs - startMs >= slowMs;
}

const SAGA_SPAN = 'saga load-order';

/** One graph; the saga's span once; and every attempt of the journal once, with its true ids. */
async function wholeness(
  key: string,
  fate: Fate,
  own: readonly SpanRecord[],
  {
    database,
    sagaId,
    wasPlain,
  }: { readonly database: Database; readonly sagaId: string; readonly wasPlain: boolean },
): Promise<string[]> {
  const told = new Map<string, number>();
  for (const { spanId } of own) told.set(spanId, (told.get(spanId) ?? 0) + 1);
  const history = (await readSaga(database, sagaId))?.history ?? [];
  const missing = history.flatMap(({ event }) => {
    const context = 'endMs' in event ? spanContextOf(event.span) : undefined;
    if (!context || !('attempt' in event)) return [];
    const times = told.get(context.spanId) ?? 0;
    return times === 1 ? [] : [`attempt ${event.attempt} of ${event.step} is there ${times} times`];
  });
  const names = Map.groupBy(own, ({ name }) => name);
  if (names.get(SAGA_SPAN)?.length !== 1) missing.push("the saga's own span is not there once");
  if (wasPlain && own.some(({ attributes }) => attributes[SAMPLING_KEPT] !== undefined))
    missing.push('nothing was the matter, and yet it was kept for that');
  if (hasFailed(fate) && !own.some(({ status }) => status.code === 'ERROR'))
    missing.push('no span says that it failed');
  const broken = findDisconnections(own, key).map(({ message }) => message);
  return [...missing, ...broken].map((problem) => `order ${key} (${fate}): ${problem}`);
}
