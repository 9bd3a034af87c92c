import { type SpanContext, TraceFlags, trace } from '@opentelemetry/api';
import type { z } from 'zod';
import type { Job } from '../shared/job/define.ts';
import { OptionsError } from '../shared/options.ts';
import { checkMessage } from '../shared/pubsub/limits.ts';
import { refuseUnstorable } from '../shared/storable.ts';
import type { Database, Transaction } from '../shared/storage/database.ts';
import type { SqlClient } from '../shared/storage/sql-client.ts';
import { type Carrier, captureCarrier } from '../shared/trace/carrier.ts';
import { type StoredLink, storedLinks } from '../shared/trace/links.ts';
import { injectContext } from '../shared/trace/message-context.ts';
import { type PublishOptions, prepareJob } from './prepare-job.ts';

/** Where relays listen for jobs that were enqueued. */
export const OUTBOX_CHANNEL = 'throughline_outbox';

export interface OutboxOptions {
  /** Whose relays are woken after a commit. */
  readonly database: Database;
  /** The enqueuing service, written as `ce-source`. */
  readonly source: string;
  /** Baggage members that may cross. Default: the order key and the saga's id. */
  readonly baggageKeys?: readonly string[];
}

export interface EnqueueOptions extends PublishOptions {
  /**
   * The job is not sent before this, by PostgreSQL's clock. With an ordering key it takes its place among the others when it is
   * due, behind those that were enqueued until then. Default: it is due at once.
   */
  readonly runAt?: Date;
}

export interface EnqueueItem<Schema extends z.ZodType> extends EnqueueOptions {
  readonly payload: z.input<Schema>;
}

export interface Outbox {
  /**
   * Stores a job, with the active context's carrier, in the caller's transaction: it is sent if and only if that commits.
   *
   * `tx` may be a transaction of ours or a client of `pg` in one. A job id that is stored already is left as it is.
   * Errors: PayloadError, MessageLimitError, ReservedAttributeError, AttributeConflictError, UnstorableDataError, OptionsError
   * (`runAt`), before anything is stored.
   */
  enqueue<Schema extends z.ZodType>(
    tx: SqlClient,
    job: Job<Schema>,
    payload: z.input<Schema>,
    options?: EnqueueOptions,
  ): Promise<{ readonly jobId: string }>;
  /** Stores many jobs in one statement. Shape: their ids, in order. */
  enqueueAll<Schema extends z.ZodType>(
    tx: SqlClient,
    job: Job<Schema>,
    items: readonly EnqueueItem<Schema>[],
  ): Promise<readonly string[]>;
}

/** A row of `throughline.outbox`, as it is inserted. */
export interface OutboxRow {
  readonly job_id: string;
  readonly job_type: string;
  readonly topic: string;
  readonly ordering_key: string | undefined;
  readonly order_key: string | undefined;
  readonly data: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly carrier: Carrier;
  readonly links?: readonly StoredLink[];
}

export function createOutbox(options: OutboxOptions): Outbox {
  const enqueueRows = async (tx: SqlClient, rows: readonly DelayableRow[]) => {
    if (rows.length === 0) return;
    const [delayed, due] = partition(rows, ({ run_at }) => run_at !== undefined);
    if (due.length > 0) await tx.query(INSERT, [JSON.stringify(due)]);
    if (delayed.length > 0) await tx.query(INSERT_DELAYED, [JSON.stringify(delayed)]);
    await wake(tx, options.database);
  };
  const rowOf = <Schema extends z.ZodType>(
    job: Job<Schema>,
    payload: z.input<Schema>,
    { runAt, ...one }: EnqueueOptions,
  ): DelayableRow => {
    const run_at = runAt === undefined ? undefined : timeOf(runAt);
    return { ...outboxRow(job, payload, { ...options, ...one }), run_at };
  };
  return {
    async enqueue(tx, job, payload, enqueueOptions = {}) {
      const row = rowOf(job, payload, enqueueOptions);
      await enqueueRows(tx, [row]);
      return { jobId: row.job_id };
    },
    async enqueueAll(tx, job, items) {
      const rows = items.map(({ payload, ...one }) => rowOf(job, payload, one));
      await enqueueRows(tx, rows);
      return rows.map(({ job_id }) => job_id);
    },
  };
}

/** A row, and when it is due; undefined: at once. */
interface DelayableRow extends OutboxRow {
  readonly run_at: string | undefined;
}

const COLUMNS = 'job_id, job_type, topic, ordering_key, order_key, data, attributes, carrier, links';
/** In order: what has an ordering key is sent by its row's id. */
const RECORDS = `ROWS FROM (json_to_recordset($1::json) AS (job_id text, job_type text, topic text, ordering_key text,
    order_key text, data text, attributes json, carrier json, links json, run_at timestamptz)) WITH ORDINALITY
    AS x (${COLUMNS}, run_at, number)`;

/** A job that is stored already stays as it is, due or not. */
const INSERT = `
  INSERT INTO throughline.outbox (${COLUMNS}) SELECT ${COLUMNS} FROM ${RECORDS}
  WHERE NOT EXISTS (SELECT FROM throughline.delayed_job d WHERE d.job_id = x.job_id)
  ORDER BY number ON CONFLICT (job_id) DO NOTHING`;
const INSERT_DELAYED = `
  INSERT INTO throughline.delayed_job (${COLUMNS}, run_at) SELECT ${COLUMNS}, run_at FROM ${RECORDS}
  WHERE NOT EXISTS (SELECT FROM throughline.outbox o WHERE o.job_id = x.job_id)
  ON CONFLICT (job_id) DO NOTHING`;

function partition<T>(all: readonly T[], isFirst: (one: T) => boolean): readonly [T[], T[]] {
  return [all.filter(isFirst), all.filter((one) => !isFirst(one))];
}

/** Years of more than four digits are written in ways that PostgreSQL does not read. */
const LATEST_MS = Date.UTC(9999, 11, 31);

/** Errors: OptionsError. */
function timeOf(runAt: Date): string {
  const ms = runAt instanceof Date ? runAt.getTime() : Number.NaN;
  if (ms >= 0 && ms <= LATEST_MS) return new Date(ms).toISOString();
  throw new OptionsError('enqueue', [`runAt: expected a Date from 1970 to 9999, got ${String(runAt)}`]);
}

/**
 * The row of a job, for callers with a statement of their own. Everything is checked here, so that nothing is stored
 * that could not be sent.
 *
 * Errors: as `Outbox.enqueue`.
 */
export function outboxRow<Schema extends z.ZodType>(
  job: Job<Schema>,
  payload: z.input<Schema>,
  options: Omit<EnqueueOptions, 'runAt'> & Pick<OutboxOptions, 'source' | 'baggageKeys'>,
): OutboxRow {
  const { envelope, parent, jobId, orderKey, orderingKey } = prepareJob(
    job,
    payload,
    options.source,
    options,
  );
  const carrier = captureCarrier(parent, options);
  const asSent = { ...envelope.attributes };
  injectContext(
    asSent,
    trace.getSpanContext(parent) ? parent : trace.setSpanContext(parent, ANY_SPAN),
    options,
  );
  checkMessage({ data: envelope.data, attributes: asSent, ...(orderingKey && { orderingKey }) });
  refuseUnstorable(JSON.stringify({ jobId, orderKey, orderingKey, attributes: envelope.attributes }), '');
  return {
    job_id: jobId,
    job_type: job.type,
    topic: job.topic,
    ordering_key: orderingKey,
    order_key: orderKey,
    data: Buffer.from(envelope.data.buffer, envelope.data.byteOffset, envelope.data.byteLength).toString(
      'utf8',
    ),
    attributes: envelope.attributes,
    carrier,
    ...(options.links && { links: storedLinks(options.links) }),
  };
}

/** Stands for the `send` span, for which a message needs room even when nothing is traced where it was enqueued. */
const ANY_SPAN: SpanContext = {
  traceId: '1'.repeat(32),
  spanId: '1'.repeat(16),
  traceFlags: TraceFlags.SAMPLED,
};

/**
 * A notification inside a transaction takes a lock on the whole database at commit; one after the commit, shared by many,
 * does not. A plain client cannot tell when it commits.
 */
export async function wake(tx: SqlClient, database: Database): Promise<void> {
  if ('afterCommit' in tx) (tx as Transaction).afterCommit(() => database.notify(OUTBOX_CHANNEL));
  else await tx.query('SELECT pg_notify($1, $2)', [OUTBOX_CHANNEL, '']);
}
