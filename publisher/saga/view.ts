import { setTimeout as delay } from 'node:timers/promises';
import { ThroughlineError } from '../../shared/errors.ts';
import { storableText } from '../../shared/storable.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { spanContextOf } from '../../shared/trace/carrier.ts';
import type { ReservedSpan } from '../../shared/trace/durable-span.ts';
import { UnknownSagaError } from './errors.ts';
import type { SagaEvent } from './event.ts';
import type { SagaOutcome } from './machine.ts';

export const SAGA_STATES = [
  'running',
  'waiting',
  'compensating',
  'stuck',
  'confirmed',
  'compensated',
  'resolved',
] as const;

/** A saga as operators and customers' pages read it. Times are RFC 3339. */
export interface SagaSummary {
  readonly sagaId: string;
  readonly name: string;
  readonly version: number;
  readonly orderKey: string | undefined;
  readonly state: string;
  /** The step that is awaited, compensated or stuck. */
  readonly step: string | undefined;
  /** Why it failed or is stuck. */
  readonly reason: string | undefined;
  /** Why no process runs it. */
  readonly parked: string | undefined;
  readonly startedAt: string;
  readonly endedAt: string | undefined;
  readonly traceId: string | undefined;
}

export interface SagaView extends SagaSummary {
  readonly input: unknown;
  readonly history: readonly { readonly at: string; readonly event: SagaEvent }[];
}

interface Row {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly order_key: string | null;
  readonly state: string;
  readonly step: string | null;
  readonly reason: string | null;
  readonly parked: string | null;
  readonly started_at: Date;
  readonly ended_at: Date | null;
  readonly span: ReservedSpan;
  readonly input: unknown;
}

const COLUMNS =
  'id, name, version, order_key, state, step, reason, parked, started_at, ended_at, span, input';

/** Errors: none; undefined when there is no such saga. */
export async function readSaga(database: SqlClient, sagaId: string): Promise<SagaView | undefined> {
  const { rows } = await database.query<Row>(`SELECT ${COLUMNS} FROM throughline.saga WHERE id = $1`, [
    storableText(sagaId),
  ]);
  const row = rows[0];
  if (!row) return undefined;
  const journal = await database.query<{ at: Date; events: SagaEvent[] }>(
    'SELECT at, events FROM throughline.saga_journal WHERE saga_id = $1 ORDER BY seq',
    [sagaId],
  );
  const history = journal.rows.flatMap(({ at, events }) =>
    events.map((event) => ({ at: at.toISOString(), event })),
  );
  return { ...summaryOf(row), input: row.input, history };
}

export interface SagaFilter {
  readonly states?: readonly string[];
  readonly orderKey?: string;
  readonly parked?: boolean;
  /** Default 100. */
  readonly limit?: number;
  /** The next page: the last saga of the one before. */
  readonly afterId?: string;
}

/**
 * The newest first: ids are time-ordered unless the caller chose them. Only the conditions that are asked for are in the
 * statement, so that the stuck and the parked ones are read from indexes of their own.
 */
export async function listSagas(database: SqlClient, filter: SagaFilter = {}): Promise<SagaSummary[]> {
  const { states, orderKey, parked = false, limit = 100, afterId } = filter;
  const values: unknown[] = [limit];
  const conditions = [
    states && `state = ANY($${values.push(states)}::text[])`,
    orderKey !== undefined && `order_key = $${values.push(storableText(orderKey))}`,
    parked && 'parked IS NOT NULL AND ended_at IS NULL',
    afterId !== undefined && `id < $${values.push(storableText(afterId))}`,
  ].filter((condition) => typeof condition === 'string');
  const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
  const { rows } = await database.query<Row>(
    `SELECT ${COLUMNS} FROM throughline.saga ${where} ORDER BY id DESC LIMIT $1`,
    values,
  );
  return rows.map(summaryOf);
}

function summaryOf(row: Row): SagaSummary {
  return {
    sagaId: row.id,
    name: row.name,
    version: row.version,
    orderKey: row.order_key ?? undefined,
    state: row.state,
    step: row.step ?? undefined,
    reason: row.reason ?? undefined,
    parked: row.parked ?? undefined,
    startedAt: row.started_at.toISOString(),
    endedAt: row.ended_at?.toISOString(),
    traceId: spanContextOf(row.span.self)?.traceId,
  };
}

/** A saga that was awaited did not end in time. */
export class SagaTimeoutError extends ThroughlineError {
  override readonly name = 'SagaTimeoutError';
  readonly code = 'SAGA_TIMEOUT';

  constructor(sagaId: string, timeoutMs: number, state: string) {
    super(`saga ${sagaId} did not end within ${timeoutMs} ms; it is ${state}`);
  }
}

/** Errors: SagaTimeoutError, UnknownSagaError. */
export async function awaitEnd(
  database: SqlClient,
  sagaId: string,
  { timeoutMs, pollMs }: { readonly timeoutMs: number; readonly pollMs: number },
): Promise<SagaOutcome> {
  const givesUpAtMs = performance.now() + timeoutMs;
  for (;;) {
    const { rows } = await database.query<{ state: string; ended: boolean }>(
      'SELECT state, ended_at IS NOT NULL AS ended FROM throughline.saga WHERE id = $1',
      [sagaId],
    );
    const row = rows[0];
    if (!row) throw new UnknownSagaError(sagaId);
    if (row.ended) return row.state as SagaOutcome;
    if (performance.now() > givesUpAtMs) throw new SagaTimeoutError(sagaId, timeoutMs, row.state);
    await delay(pollMs);
  }
}
