import { storableText } from '../../shared/storable.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import type { GivenUpBy } from './letter.ts';

export type LetterState = 'open' | 'redriven' | 'dropped';
export const LETTER_STATES = ['open', 'redriven', 'dropped'] as const satisfies readonly LetterState[];

/** Which letters are meant; all conditions hold together. */
export interface LetterFilter {
  /** Default: all. */
  readonly states?: readonly LetterState[] | undefined;
  /** For instance `workspace.set-up.v1`. */
  readonly jobType?: string | undefined;
  readonly orderKey?: string | undefined;
  readonly jobId?: string | undefined;
  readonly sagaId?: string | undefined;
  /** `error.type` of what was thrown. */
  readonly errorType?: string | undefined;
  /** Part of the reason, in upper or lower case. */
  readonly reason?: string | undefined;
  readonly topic?: string | undefined;
  /** Died at this time or after it. */
  readonly since?: Date | undefined;
  /** Died before this time. */
  readonly until?: Date | undefined;
}

export interface LetterSummary {
  readonly letterId: string;
  readonly state: LetterState;
  readonly jobId: string;
  readonly jobType: string | undefined;
  readonly orderKey: string | undefined;
  readonly sagaId: string | undefined;
  /** To which it is sent when it is redriven. */
  readonly topic: string;
  /** At which it died. */
  readonly subscription: string | undefined;
  readonly givenUpBy: GivenUpBy;
  readonly reason: string;
  readonly errorType: string | undefined;
  /** Deliveries that came to nothing. */
  readonly attempts: number | undefined;
  readonly payloadBytes: number;
  /** Times are RFC 3339. */
  readonly publishedAt: string | undefined;
  readonly diedAt: string;
  readonly keptAt: string;
  /** When, by whom and why it was redriven or dropped. */
  readonly settledAt: string | undefined;
  readonly settledBy: string | undefined;
  readonly settledReason: string | undefined;
  /** Of the dead delivery, or of whoever sent the message. */
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
}

/** A letter with all that it holds. */
export interface LetterView extends LetterSummary {
  readonly consumer: string | undefined;
  readonly messageId: string | undefined;
  readonly orderingKey: string | undefined;
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  readonly traceparent: string | undefined;
}

/** A place among letters that are ordered by the time of their death. */
export interface LetterCursor {
  /** As PostgreSQL writes it, to the microsecond. */
  readonly diedAt: string;
  readonly letterId: string;
}

interface SummaryRow {
  readonly id: string;
  readonly state: LetterState;
  readonly job_id: string;
  readonly job_type: string | null;
  readonly order_key: string | null;
  readonly saga_id: string | null;
  readonly topic: string;
  readonly subscription: string | null;
  readonly given_up_by: GivenUpBy;
  readonly reason: string;
  readonly error_type: string | null;
  readonly attempts: number | null;
  readonly bytes: number;
  readonly published_at: Date | null;
  readonly died_at: Date;
  readonly kept_at: Date;
  readonly settled_at: Date | null;
  readonly settled_by: string | null;
  readonly settled_reason: string | null;
  readonly traceparent: string | null;
}

const SUMMARY = `id, state, job_id, job_type, order_key, saga_id, topic, subscription, given_up_by, reason, error_type, attempts,
  octet_length(data) AS bytes, published_at, died_at, kept_at, settled_at, settled_by, settled_reason, traceparent`;

export interface ListOptions {
  /** At most so many. Default 100. */
  readonly limit?: number;
  /** The next page: the last letter of the one before. */
  readonly afterId?: string | undefined;
}

/** Letters, the newest death first. Errors: DatabaseUnavailableError. */
export async function listDeadLetters(
  client: SqlClient,
  filter: LetterFilter = {},
  { limit = 100, afterId }: ListOptions = {},
): Promise<LetterSummary[]> {
  const { text, values } = listQuery(filter, limit, afterId);
  const { rows } = await client.query<SummaryRow & Record<string, unknown>>(text, [...values]);
  return rows.map(summaryOf);
}

/** The statement behind `listDeadLetters`, also for who wants to know its plan. */
export function listQuery(
  filter: LetterFilter,
  limit: number,
  afterId?: string,
): { readonly text: string; readonly values: readonly unknown[] } {
  const { where, values } = conditions(filter, afterId);
  const text = `SELECT ${SUMMARY} FROM throughline.dead_letter ${where}
    ORDER BY died_at DESC, id DESC LIMIT $${values.push(limit)}`;
  return { text, values };
}

/** Errors: DatabaseUnavailableError. */
export async function countDeadLetters(client: SqlClient, filter: LetterFilter): Promise<number> {
  const { where, values } = conditions(filter);
  const { rows } = await client.query<{ letters: number }>(
    `SELECT count(*)::integer AS letters FROM throughline.dead_letter ${where}`,
    values,
  );
  return rows[0]?.letters ?? 0;
}

/** Undefined: there is none. Errors: DatabaseUnavailableError. */
export async function readDeadLetter(client: SqlClient, letterId: string): Promise<LetterView | undefined> {
  const { rows } = await client.query<
    SummaryRow & {
      readonly consumer: string | null;
      readonly message_id: string | null;
      readonly ordering_key: string | null;
      readonly data: Buffer;
      readonly attributes: Readonly<Record<string, string>>;
    } & Record<string, unknown>
  >(
    `SELECT ${SUMMARY}, consumer, message_id, ordering_key, data, attributes FROM throughline.dead_letter WHERE id = $1`,
    [storableText(letterId)],
  );
  const [row] = rows;
  if (!row) return undefined;
  return {
    ...summaryOf(row),
    consumer: row.consumer ?? undefined,
    messageId: row.message_id ?? undefined,
    orderingKey: row.ordering_key ?? undefined,
    data: row.data,
    attributes: row.attributes,
    traceparent: row.traceparent ?? undefined,
  };
}

export interface PageOptions {
  readonly after: LetterCursor | undefined;
  /** Only what was stored by then: as PostgreSQL writes it. */
  readonly keptBy: string;
  readonly limit: number;
}

/** Open letters, the oldest death first, from a place on. */
export async function openPage(
  client: SqlClient,
  filter: LetterFilter,
  { after, keptBy, limit }: PageOptions,
): Promise<LetterCursor[]> {
  const { where, values } = conditions({ ...filter, states: ['open'] });
  const further = [
    `kept_at <= $${values.push(keptBy)}::timestamptz`,
    after && `(died_at, id) > ($${values.push(after.diedAt)}::timestamptz, $${values.push(after.letterId)})`,
  ].filter((condition) => condition !== undefined);
  const { rows } = await client.query<{ id: string; died: string }>(
    `SELECT id, died_at::text AS died FROM throughline.dead_letter ${where} AND ${further.join(' AND ')}
     ORDER BY died_at, id LIMIT $${values.push(limit)}`,
    values,
  );
  return rows.map(({ id, died }) => ({ letterId: id, diedAt: died }));
}

function conditions(
  filter: LetterFilter,
  afterId?: string,
): { readonly where: string; readonly values: unknown[] } {
  const values: unknown[] = [];
  const equals = (column: string, value: string | undefined) =>
    value !== undefined && `${column} = $${values.push(storableText(value))}`;
  const { states, reason, since, until } = filter;
  const [state] = states ?? [];
  const found = [
    states && (states.length === 1 ? equals('state', state) : `state = ANY($${values.push(states)}::text[])`),
    equals('job_type', filter.jobType),
    equals('order_key', filter.orderKey),
    equals('job_id', filter.jobId),
    equals('saga_id', filter.sagaId),
    equals('error_type', filter.errorType),
    equals('topic', filter.topic),
    reason !== undefined && `strpos(lower(reason), lower($${values.push(storableText(reason))})) > 0`,
    since && `died_at >= $${values.push(since.toISOString())}::timestamptz`,
    afterId !== undefined &&
      `(died_at, id) < (SELECT died_at, id FROM throughline.dead_letter WHERE id = $${values.push(storableText(afterId))})`,
    until && `died_at < $${values.push(until.toISOString())}::timestamptz`,
  ].filter((condition) => typeof condition === 'string');
  return { where: found.length > 0 ? `WHERE ${found.join(' AND ')}` : '', values };
}

function summaryOf(row: SummaryRow): LetterSummary {
  const [, traceId, spanId] = row.traceparent?.split('-') ?? [];
  return {
    letterId: row.id,
    state: row.state,
    jobId: row.job_id,
    jobType: row.job_type ?? undefined,
    orderKey: row.order_key ?? undefined,
    sagaId: row.saga_id ?? undefined,
    topic: row.topic,
    subscription: row.subscription ?? undefined,
    givenUpBy: row.given_up_by,
    reason: row.reason,
    errorType: row.error_type ?? undefined,
    attempts: row.attempts ?? undefined,
    payloadBytes: row.bytes,
    publishedAt: row.published_at?.toISOString(),
    diedAt: row.died_at.toISOString(),
    keptAt: row.kept_at.toISOString(),
    settledAt: row.settled_at?.toISOString(),
    settledBy: row.settled_by ?? undefined,
    settledReason: row.settled_reason ?? undefined,
    traceId,
    spanId,
  };
}
