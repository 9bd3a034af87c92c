import { findUnstorable, STORABLE } from '../../shared/storable.ts';
import { type Database, DatabaseUnavailableError } from '../../shared/storage/database.ts';
import { GroupCommit } from '../../shared/storage/group-commit.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import type { ReservedSpan } from '../../shared/trace/durable-span.ts';
import { endedSpansSaved } from '../../shared/trace/release.ts';
import type { OutboxRow } from '../outbox.ts';
import { SagaInputError } from './errors.ts';
import type { SagaEvent } from './event.ts';

/**
 * Writes what happened to sagas, many sagas in one commit.
 *
 * J1. A checkpoint is stored whole or not at all: events, saga row, jobs, signals and cancelled jobs share a statement.
 * J2. Of two writers of one sequence number one is refused: whoever is refused has lost the saga.
 * J3. When nobody knows whether a commit took place, the journal itself is asked, before anything is written again.
 */
export interface Checkpoint {
  readonly start?: NewSaga;
  readonly append?: Append;
  /** Needs `append`, as all that follows. */
  readonly update?: SagaUpdate;
  readonly jobs?: readonly OutboxRow[];
  /** Signals that the appended events took in. */
  readonly taken?: readonly string[];
  /** Jobs that are not to run any more, however often they are delivered. */
  readonly cancelled?: readonly string[];
}

export interface NewSaga {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly order_key: string | undefined;
  readonly input: unknown;
  /** Null: whoever is free may take it. */
  readonly owner: string | null;
  readonly span: ReservedSpan;
  readonly started_ms: number;
}

export interface Append {
  readonly saga_id: string;
  readonly seq: number;
  readonly events: readonly SagaEvent[];
}

export interface SagaUpdate {
  readonly state: string;
  readonly step: string | null;
  readonly owner: string | null;
  readonly wake_ms: number | null;
  readonly ended_ms: number | null;
  readonly reason: string | null;
}

export interface JournalOptions {
  readonly database: Database;
  /** The writer that this process's rows bear now. */
  readonly writer: () => string;
  /** Whether this process may still write: false once its lease has run out. */
  readonly mayWrite: () => boolean;
  readonly onStored?: (checkpoints: readonly Checkpoint[]) => void;
}

export interface Journal {
  /**
   * Resolves once the checkpoint is committed; false when another writer was first (J2), or the saga exists already.
   *
   * Errors: SagaInputError when what a saga begins with cannot be stored; DatabaseUnavailableError.
   */
  write(checkpoint: Checkpoint): Promise<boolean>;
  /** The same within a transaction of the caller's. */
  writeIn(tx: SqlClient, checkpoint: Checkpoint): Promise<boolean>;
  /** Whether this writer stored that sequence number (J3). */
  wrote(sagaId: string, seq: number): Promise<boolean>;
  drained(): Promise<void>;
}

export function createJournal(options: JournalOptions): Journal {
  const group = new GroupCommit<Checkpoint, boolean>({
    commit: async (checkpoints) => {
      const stored = await commitGroup(options, checkpoints);
      options.onStored?.(checkpoints.filter((_, index) => stored[index]));
      return stored;
    },
    maxItems: 1_000,
    maxInFlight: 2, // of one saga never more than one: it waits for its own
    isolates: (error) => !(error instanceof DatabaseUnavailableError),
  });
  return {
    write: (checkpoint) => group.add(checkpoint),
    async writeIn(tx, checkpoint) {
      await endedSpansSaved();
      return (await execute(tx, options.writer(), [checkpoint]))[0] === true;
    },
    wrote: async (sagaId, seq) =>
      (await writtenByMe(options, [{ append: { saga_id: sagaId, seq, events: [] } }]))[0] === true,
    drained: () => group.drained(),
  };
}

const RETRY_PAUSE_MS = 100;

async function commitGroup(options: JournalOptions, checkpoints: readonly Checkpoint[]): Promise<boolean[]> {
  await endedSpansSaved();
  for (let isFirst = true; ; isFirst = false) {
    try {
      const stored = await execute(options.database, options.writer(), checkpoints);
      if (isFirst) return stored;
      const mine = await writtenByMe(options, checkpoints);
      return stored.map((isStored, index) => isStored || mine[index] === true); // J3
    } catch (error) {
      if (!(error instanceof DatabaseUnavailableError) || !options.mayWrite()) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
    }
  }
}

/** J3. Who wrote it, now that it is there? */
async function writtenByMe(options: JournalOptions, checkpoints: readonly Checkpoint[]): Promise<boolean[]> {
  const keys = checkpoints.map((one) => ({ id: idOf(one), seq: one.append?.seq ?? 0 }));
  const { rows } = await options.database.query<{ mine: boolean }>({
    name: 'throughline-saga-written',
    text: `
      SELECT CASE WHEN k.seq = 0
        THEN EXISTS (SELECT FROM throughline.saga s WHERE s.id = k.id AND s.owner = $1::uuid)
        ELSE EXISTS (SELECT FROM throughline.saga_journal j WHERE j.saga_id = k.id AND j.seq = k.seq AND j.writer = $1::uuid)
      END AS mine
      FROM ROWS FROM (json_to_recordset($2::json) AS (id text, seq integer)) WITH ORDINALITY k (id, seq, n) ORDER BY n`,
    values: [options.writer(), JSON.stringify(keys)],
  });
  return rows.map(({ mine }) => mine);
}

function idOf({ start, append }: Checkpoint): string {
  return start?.id ?? append?.saga_id ?? '';
}

async function execute(
  client: SqlClient,
  writer: string,
  checkpoints: readonly Checkpoint[],
): Promise<boolean[]> {
  const { rows } = await client.query<{ saga_id: string }>(statement(writer, checkpoints));
  const stored = new Set(rows.map(({ saga_id }) => saga_id));
  return checkpoints.map((one) => stored.delete(idOf(one))); // of two of one saga the first is stored
}

/** Every part of a statement costs, though it find nothing to do: a group gets the shortest that it can do with. */
function statement(writer: string, checkpoints: readonly Checkpoint[]) {
  const appends = checkpoints.flatMap(({ append }) => append ?? []);
  const starts = checkpoints.flatMap(({ start }) => start ?? []);
  const updates = checkpoints.filter(({ update }) => update);
  const values: unknown[] = [writer, JSON.stringify(appends)];
  const isPlain = !checkpoints.some(({ jobs, taken, cancelled }) => jobs || taken || cancelled);
  if (isPlain && starts.length === 0 && updates.length === 0)
    return { name: 'throughline-saga-append', text: APPEND, values };
  values.push(
    startsAsJson(starts),
    rowsOf(updates, ({ update }) => [update]),
    updates.map(idOf),
  );
  if (isPlain) return { name: 'throughline-saga-update', text: WITH_SAGAS, values };
  const takers = checkpoints.filter(({ taken }) => taken);
  values.push(
    rowsOf(checkpoints, ({ jobs }) => jobs),
    rowsOf(takers, ({ taken }) => taken?.map((name) => ({ name }))),
    takers.map(idOf),
    rowsOf(checkpoints, ({ cancelled }) => cancelled?.map((job_id) => ({ job_id }))),
    checkpoints.flatMap(({ cancelled }) => cancelled ?? []),
  );
  return { name: 'throughline-saga-checkpoint', text: WITH_EVERYTHING, values };
}

/** Errors: SagaInputError, of the first that could not be read back. */
function startsAsJson(starts: readonly NewSaga[]): string {
  const json = JSON.stringify(starts);
  const [index, ...path] = findUnstorable(json)?.split('.') ?? [];
  if (index === undefined) return json;
  throw new SagaInputError(`saga "${starts[Number(index)]?.name}"`, [`${path.join('.')}: ${STORABLE}`]);
}

/** As JSON, each row with its saga's id. */
function rowsOf(
  checkpoints: readonly Checkpoint[],
  parts: (checkpoint: Checkpoint) => readonly unknown[] | undefined,
): string {
  return JSON.stringify(
    checkpoints.flatMap(
      (one) => parts(one)?.map((part) => ({ saga_id: idOf(one), ...(part as object) })) ?? [],
    ),
  );
}

const APPEND = `
  INSERT INTO throughline.saga_journal (saga_id, seq, writer, events)
  SELECT saga_id, seq, $1::uuid, events FROM json_to_recordset($2::json) AS x (saga_id text, seq integer, events json)
  ON CONFLICT DO NOTHING RETURNING saga_id`;

/**
 * J1. What hangs on an append is joined with what was appended: a refused append takes the rest with it (J2).
 *
 * A saga with a time to wake although it is owned got a signal since it was claimed (signals.ts): it is looked at once
 * more, before it counts as ended.
 * The keys come as arrays besides: without them a join with a table of many finished sagas may read all of it.
 */
const SAGAS = `
  WITH appended AS (${APPEND}),
  started AS (
    INSERT INTO throughline.saga (id, name, version, order_key, input, state, owner, wake_at, span, started_at)
    SELECT id, name, version, order_key, input, 'running', owner,
      CASE WHEN owner IS NULL THEN now() END, span, to_timestamp(started_ms / 1000.0)
    FROM json_to_recordset($3::json) AS x (id text, name text, version integer, order_key text, input json,
      owner uuid, span json, started_ms double precision)
    ON CONFLICT DO NOTHING RETURNING id AS saga_id
  ),
  updated AS (
    UPDATE throughline.saga s SET state = x.state, step = x.step, owner = x.owner, reason = x.reason,
      wake_at = least(s.wake_at, to_timestamp(x.wake_ms / 1000.0)),
      ended_at = CASE WHEN s.wake_at IS NULL THEN to_timestamp(x.ended_ms / 1000.0) END
    FROM json_to_recordset($4::json) AS x (saga_id text, state text, step text, owner uuid, wake_ms double precision,
      ended_ms double precision, reason text)
    JOIN appended USING (saga_id) WHERE s.id = x.saga_id AND s.id = ANY($5::text[])
  )`;

const STORED = 'SELECT saga_id FROM appended UNION ALL SELECT saga_id FROM started';

const WITH_SAGAS = `${SAGAS} ${STORED}`;

const WITH_EVERYTHING = `${SAGAS},
  enqueued AS (
    INSERT INTO throughline.outbox (job_id, job_type, topic, ordering_key, order_key, data, attributes, carrier)
    SELECT x.job_id, x.job_type, x.topic, x.ordering_key, x.order_key, x.data, x.attributes, x.carrier
    FROM json_to_recordset($6::json) AS x (saga_id text, job_id text, job_type text, topic text, ordering_key text,
      order_key text, data text, attributes json, carrier json)
    JOIN appended USING (saga_id)
    ON CONFLICT (job_id) DO NOTHING
  ),
  taken AS (
    UPDATE throughline.saga_signal g SET taken_at = now()
    FROM json_to_recordset($7::json) AS x (saga_id text, name text)
    JOIN appended USING (saga_id) WHERE g.saga_id = x.saga_id AND g.name = x.name AND g.saga_id = ANY($8::text[])
  ),
  buried AS (
    INSERT INTO throughline.inbox (consumer, job_id, job_type, state, finished_at, reason)
    SELECT '*', x.job_id, '', 'cancelled', now(), 'the saga does not wait for it any more'
    FROM json_to_recordset($9::json) AS x (saga_id text, job_id text)
    JOIN appended USING (saga_id)
    ON CONFLICT DO NOTHING
  ),
  withdrawn AS (
    DELETE FROM throughline.outbox o USING json_to_recordset($9::json) AS x (saga_id text, job_id text)
    JOIN appended USING (saga_id) WHERE o.job_id = x.job_id AND o.job_id = ANY($10::text[])
  )
  ${STORED}`;
