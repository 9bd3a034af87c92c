import { type SpanContext, TraceFlags, trace } from '@opentelemetry/api';
import type { z } from 'zod';
import type { Job } from '../shared/job/define.ts';
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

export type EnqueueOptions = PublishOptions;

export interface EnqueueItem<Schema extends z.ZodType> extends EnqueueOptions {
  readonly payload: z.input<Schema>;
}

export interface Outbox {
  /**
   * Stores a job, with the active context's carrier, in the caller's transaction: it is sent if and only if that commits.
   *
   * `tx` may be a transaction of ours or a client of `pg` in one. A job id that is stored already is left as it is.
   * Errors: PayloadError, MessageLimitError, ReservedAttributeError, AttributeConflictError, UnstorableDataError, before anything
   * is stored.
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
  readonly links: readonly StoredLink[] | undefined;
}

export function createOutbox(options: OutboxOptions): Outbox {
  const enqueueRows = async (tx: SqlClient, rows: readonly OutboxRow[]) => {
    if (rows.length === 0) return;
    await tx.query(INSERT, [JSON.stringify(rows)]);
    await wake(tx, options.database);
  };
  return {
    async enqueue(tx, job, payload, enqueueOptions = {}) {
      const row = outboxRow(job, payload, { ...options, ...enqueueOptions });
      await enqueueRows(tx, [row]);
      return { jobId: row.job_id };
    },
    async enqueueAll(tx, job, items) {
      const rows = items.map(({ payload, ...one }) => outboxRow(job, payload, { ...options, ...one }));
      await enqueueRows(tx, rows);
      return rows.map(({ job_id }) => job_id);
    },
  };
}

const INSERT = `
  INSERT INTO throughline.outbox (job_id, job_type, topic, ordering_key, order_key, data, attributes, carrier, links)
  SELECT job_id, job_type, topic, ordering_key, order_key, data, attributes, carrier, links
  FROM json_to_recordset($1::json) AS x (job_id text, job_type text, topic text, ordering_key text, order_key text,
    data text, attributes json, carrier json, links json)
  ON CONFLICT (job_id) DO NOTHING`;

/**
 * The row of a job, for callers with a statement of their own. Everything is checked here, so that nothing is stored
 * that could not be sent.
 *
 * Errors: as `Outbox.enqueue`.
 */
export function outboxRow<Schema extends z.ZodType>(
  job: Job<Schema>,
  payload: z.input<Schema>,
  options: EnqueueOptions & Pick<OutboxOptions, 'source' | 'baggageKeys'>,
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
    links: options.links && storedLinks(options.links),
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
