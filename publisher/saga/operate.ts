import { context, SpanKind } from '@opentelemetry/api';
import { ThroughlineError } from '../../shared/errors.ts';
import { auditAction, type Via } from '../../shared/operator-action.ts';
import { storableText } from '../../shared/storable.ts';
import type { Database, Transaction } from '../../shared/storage/database.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { spanContextOf } from '../../shared/trace/carrier.ts';
import type { ReservedSpan } from '../../shared/trace/durable-span.ts';
import { inSpan } from '../../shared/trace/in-span.ts';
import { links, linkTo } from '../../shared/trace/links.ts';
import { withOrderKey } from '../../shared/trace/order-key.ts';
import { SAGA_ID, SAGA_NAME, SAGA_STEP, SAGA_VERSION } from '../../shared/trace/semconv.ts';
import { OPERATOR_SIGNAL } from './awaited.ts';
import { SAGA_CHANNEL } from './engine.ts';
import { SagaInputError, UnknownSagaError } from './errors.ts';
import type { OperatorAction } from './event.ts';
import { storeSignal } from './signals.ts';
import { uuidV7 } from './uuid-v7.ts';

/**
 * What an operator tells a stuck saga.
 *
 * O1. Of two operators at once one is refused: both lock the saga's row, and the second finds what the first has said.
 * O2. Audit row and order to the saga commit together; whichever engine takes the order writes it into the journal.
 */
export interface OperateOptions {
  readonly sagaId: string;
  readonly action: OperatorAction;
  /** Who does it, as the audit names them. */
  readonly actor: string;
  /** Why; required to skip and to resolve, because what was not undone stays. At most 1,000 characters. */
  readonly reason?: string | undefined;
  /** By which way they came; kept with the audit row. */
  readonly via?: Via | undefined;
}

export interface OperatorReceipt {
  readonly sagaId: string;
  readonly action: OperatorAction;
  readonly orderKey: string | undefined;
  /** The step whose compensation was stuck. */
  readonly step: string | undefined;
  /** Of the operator's span; undefined when nothing is traced. */
  readonly traceId: string | undefined;
}

/** Only a stuck saga takes orders. */
export class SagaNotStuckError extends ThroughlineError {
  override readonly name = 'SagaNotStuckError';
  readonly code = 'SAGA_NOT_STUCK';
  readonly sagaId: string;
  readonly state: string;

  constructor(sagaId: string, action: OperatorAction, state: string) {
    super(`saga ${sagaId} is ${state}, not stuck: there is nothing to ${action}`);
    this.sagaId = sagaId;
    this.state = state;
  }
}

/** Somebody was first, and no engine has taken up yet what they said (O1). */
export class SagaActionPendingError extends ThroughlineError {
  override readonly name = 'SagaActionPendingError';
  readonly code = 'SAGA_ACTION_PENDING';
  readonly sagaId: string;
  readonly action: OperatorAction;
  readonly actor: string;

  constructor(sagaId: string, { action, actor }: PendingAction) {
    super(`${actor} has told saga ${sagaId} to ${action} already; it waits for an engine to take that up`);
    this.sagaId = sagaId;
    this.action = action;
    this.actor = actor;
  }
}

/** What a stuck saga was told and no engine has taken up yet. */
export interface PendingAction {
  readonly action: OperatorAction;
  readonly actor: string;
  /** Empty: none was given. */
  readonly reason: string;
}

interface StuckRow {
  readonly name: string;
  readonly version: number;
  readonly order_key: string | null;
  readonly state: string;
  readonly step: string | null;
  readonly span: ReservedSpan;
}

/**
 * Tells a stuck saga to retry its compensation, to skip it and go on with the others, or to end as it is. It is stored,
 * audited and traced here; an engine that knows the saga takes it up.
 *
 * Errors: SagaInputError when actor or reason are missing, UnknownSagaError, SagaNotStuckError, SagaActionPendingError,
 * DatabaseUnavailableError.
 */
export async function operateSaga(database: Database, given: OperateOptions): Promise<OperatorReceipt> {
  const { sagaId, action, reason } = given;
  const options = { ...given, actor: storableText(given.actor), reason: reason && storableText(reason) };
  check(options);
  const row = await readRow(database, sagaId);
  const orderKey = row.order_key ?? undefined;
  const active = context.active();
  return inSpan(
    `operate saga.${action}`,
    {
      kind: SpanKind.INTERNAL,
      parent: orderKey === undefined ? active : withOrderKey(active, orderKey, sagaId),
      attributes: {
        [SAGA_ID]: sagaId,
        [SAGA_NAME]: row.name,
        [SAGA_VERSION]: row.version,
        ...(row.step !== null && { [SAGA_STEP]: row.step }),
      },
      links: links(linkTo(spanContextOf(row.span.self), 'caused-by')),
    },
    async (span) => {
      await database.transaction((tx) => tell(tx, database, options));
      const { traceId } = span.spanContext();
      const step = row.step ?? undefined;
      return { sagaId, action, orderKey, step, traceId: span.isRecording() ? traceId : undefined };
    },
  );
}

function check({ action, actor, reason = '' }: OperateOptions): void {
  const issues = [
    actor.trim() === '' && 'actor: expected the name of who does it',
    action !== 'retry' && reason.trim() === '' && 'reason: expected why',
    reason.length > MAX_REASON_CHARS && `reason: expected at most ${MAX_REASON_CHARS} characters`,
  ].filter((issue) => issue !== false);
  if (issues.length > 0) throw new SagaInputError(`saga ${action}`, issues);
}

const MAX_REASON_CHARS = 1_000;

async function readRow(client: SqlClient, sagaId: string, lock = ''): Promise<StuckRow> {
  const { rows } = await client.query<StuckRow & Record<string, unknown>>(
    `SELECT name, version, order_key, state, step, span FROM throughline.saga WHERE id = $1 ${lock}`,
    [storableText(sagaId)],
  );
  const [row] = rows;
  if (!row) throw new UnknownSagaError(sagaId);
  return row;
}

async function tell(tx: Transaction, database: Database, options: OperateOptions): Promise<void> {
  const { sagaId, action, actor, reason } = options;
  const row = await readRow(tx, sagaId, 'FOR UPDATE'); // O1
  if (row.state !== 'stuck') throw new SagaNotStuckError(sagaId, action, row.state);
  const pending = await pendingAction(tx, sagaId);
  if (pending) throw new SagaActionPendingError(sagaId, pending);
  const payload: PendingAction = { action, actor, reason: reason?.trim() ?? '' };
  await storeSignal(tx, { sagaId, name: `${OPERATOR_SIGNAL}${uuidV7()}`, payload }); // O2; wakes the saga
  await audit(tx, row, options);
  tx.afterCommit(() => database.notify(SAGA_CHANNEL));
}

/** Errors: DatabaseUnavailableError. */
export async function pendingAction(client: SqlClient, sagaId: string): Promise<PendingAction | undefined> {
  const { rows } = await client.query<{ payload: PendingAction }>(
    `SELECT payload FROM throughline.saga_signal WHERE saga_id = $1 AND taken_at IS NULL AND starts_with(name, $2) LIMIT 1`,
    [sagaId, OPERATOR_SIGNAL],
  );
  return rows[0]?.payload;
}

async function audit(
  tx: Transaction,
  { name, version, order_key, step }: StuckRow,
  { sagaId, action, actor, reason, via }: OperateOptions,
): Promise<void> {
  const details = { saga: name, version, orderKey: order_key, step };
  await auditAction(tx, { actor, via, action: `saga.${action}`, target: sagaId, reason, details });
}
