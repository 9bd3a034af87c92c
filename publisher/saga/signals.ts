import { trace } from '@opentelemetry/api';
import type { z } from 'zod';
import { findUnstorable, STORABLE } from '../../shared/storable.ts';
import type { Database } from '../../shared/storage/database.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { captureCarrier, spanContextOf } from '../../shared/trace/carrier.ts';
import type { ReservedSpan } from '../../shared/trace/durable-span.ts';
import { linkTo } from '../../shared/trace/links.ts';
import type { Saga } from './define.ts';
import { SagaInputError, UnknownDefinitionError, UnknownSagaError, UnknownSignalError } from './errors.ts';

/** `late`: the saga has ended, or is being undone; `duplicate`: one with this name came before. */
export type SignalReceipt = 'accepted' | 'duplicate' | 'late';

export interface SignalOptions {
  readonly database: Database;
  readonly definitions: readonly Saga[];
  readonly sagaId: string;
  readonly name: string;
  readonly payload: unknown;
  /** Called once the active span is linked to the saga, and belongs to its story whatever happens then. */
  readonly onLinked?: (() => void) | undefined;
}

/** Checks a signal and stores it for the saga. The active span and the saga's are linked both ways. */
export async function sendSignal(options: SignalOptions): Promise<SignalReceipt> {
  const { database, sagaId, name } = options;
  const { rows } = await database.query<{ name: string; version: number; state: string; span: ReservedSpan }>(
    'SELECT name, version, state, span FROM throughline.saga WHERE id = $1',
    [sagaId],
  );
  const row = rows[0];
  if (!row) throw new UnknownSagaError(sagaId);
  const definition = options.definitions.find(
    (saga) => saga.name === row.name && saga.version === row.version,
  );
  if (!definition) throw new UnknownDefinitionError(row.name, row.version);
  const step = definition.steps.find(({ signal }) => signal?.name === name);
  if (!step?.signal) {
    throw new UnknownSignalError(
      definition.name,
      name,
      definition.steps.flatMap(({ signal }) => signal?.name ?? []),
    );
  }
  const issues = issuesOf(step.signal.payload, options.payload);
  if (issues.length > 0) throw new SagaInputError(`signal "${name}" of saga "${definition.name}"`, issues);
  linkToSpan(row.span);
  options.onLinked?.();
  if (row.state !== 'running' && row.state !== 'waiting') return 'late';
  return (await storeSignal(database, { sagaId, name, payload: options.payload })) ? 'accepted' : 'duplicate';
}

function issuesOf(schema: z.ZodType, payload: unknown): string[] {
  const parsed = schema.safeParse(payload);
  if (!parsed.success)
    return parsed.error.issues.map(({ path, message }) => `${path.join('.') || '(payload)'}: ${message}`);
  const unstorable = findUnstorable(JSON.stringify(payload));
  return unstorable === undefined ? [] : [`${unstorable || '(payload)'}: ${STORABLE}`];
}

/** The request that brings a signal is linked to the saga; the `resume` span links back to the request. */
function linkToSpan(span: ReservedSpan): void {
  const link = linkTo(spanContextOf(span.self), 'caused-by');
  if (link) trace.getActiveSpan()?.addLink(link);
}

/** For requests that only ask for a saga that is there already: links the active span to it. */
export async function linkToSaga(client: SqlClient, sagaId: string): Promise<void> {
  const { rows } = await client.query<{ span: ReservedSpan }>(
    'SELECT span FROM throughline.saga WHERE id = $1',
    [sagaId],
  );
  if (rows[0]) linkToSpan(rows[0].span);
}

export interface StoredSignal {
  readonly sagaId: string;
  readonly name: string;
  readonly payload: unknown;
  /** Takes the place of a result that says that the job had failed. */
  readonly supersedesFailure?: boolean;
}

/**
 * Stores a signal and has somebody look at the saga, whichever process is there to do it: the row says that it is due.
 * A saga that has been undone is looked at again, because a worker's result may say that a step did happen (machine.ts: M5):
 * also one that said before that it had failed, when an operator redrives its job (`supersedesFailure`).
 *
 * Shape: false when a signal of that name is there already.
 */
export async function storeSignal(
  client: SqlClient,
  { sagaId, name, payload, supersedesFailure = false }: StoredSignal,
): Promise<boolean> {
  const { rowCount } = await client.query(
    `WITH stored AS (
       INSERT INTO throughline.saga_signal AS s (saga_id, name, payload, carrier) VALUES ($1, $2, $3, $4)
       ON CONFLICT (saga_id, name) DO UPDATE
         SET payload = excluded.payload, carrier = excluded.carrier, received_at = now(), taken_at = NULL
         WHERE $5::boolean AND s.payload::text LIKE '%"outcome":"failed"%'
       RETURNING saga_id
     ), woken AS (
       UPDATE throughline.saga s SET wake_at = now(), ended_at = NULL FROM stored
       WHERE s.id = stored.saga_id AND (s.ended_at IS NULL OR s.state = 'compensated')
     )
     SELECT saga_id FROM stored`,
    [sagaId, name, JSON.stringify(payload), JSON.stringify(captureCarrier()), supersedesFailure],
  );
  return rowCount === 1;
}
