import type { Database } from '../../shared/storage/database.ts';
import type { ReservedSpan } from '../../shared/trace/durable-span.ts';
import type { PendingSignal } from './active-saga.ts';
import type { Saga } from './define.ts';
import type { SagaEvent } from './event.ts';

/** A saga's row, as it is claimed. */
export interface SagaRow {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly order_key: string | null;
  readonly input: unknown;
  readonly state: string;
  readonly span: ReservedSpan;
  /** The dead runner that had it; null when nobody had it. */
  readonly previous_owner: string | null;
}

export interface LoadedSaga extends SagaRow {
  readonly checkpoints: readonly (readonly SagaEvent[])[];
  readonly pending: ReadonlyMap<string, PendingSignal>;
}

const COLUMNS = 's.id, s.name, s.version, s.order_key, s.input, s.state, s.span';

export type Claims = ReturnType<typeof createClaims>;

/** Claims that exclude each other: whoever gets a row back owns the saga. */
export function createClaims(database: Database, sagas: readonly Saga[], runner: () => string) {
  const known = sagas.map(({ name, version }) => `${name}/${version}`);
  return {
    /** Sagas that somebody asks for by id, if nobody works on them and they have not ended. */
    byId: (ids: readonly string[]) =>
      rows(
        database,
        'throughline-saga-claim',
        `
        UPDATE throughline.saga s SET owner = $1::uuid, wake_at = NULL, parked = NULL
        WHERE s.id = ANY($2::text[]) AND s.ended_at IS NULL AND s.owner IS NULL
          AND s.name || '/' || s.version = ANY($3::text[])
        RETURNING ${COLUMNS}, NULL AS previous_owner`,
        [runner(), ids, known],
      ),
    /** Sagas whose time has come. */
    due: (limit: number) =>
      rows(
        database,
        'throughline-saga-due',
        `
        UPDATE throughline.saga s SET owner = $1::uuid, wake_at = NULL, parked = NULL
        WHERE s.id = ANY(ARRAY(
          SELECT id FROM throughline.saga
          WHERE ended_at IS NULL AND owner IS NULL AND wake_at <= now() AND name || '/' || version = ANY($2::text[])
          ORDER BY wake_at LIMIT $3 FOR UPDATE SKIP LOCKED
        ))
        RETURNING ${COLUMNS}, NULL AS previous_owner`,
        [runner(), known, limit],
      ),
    /** Sagas of runners whose lease has run out. */
    orphaned: (limit: number) =>
      rows(
        database,
        'throughline-saga-orphaned',
        `
        WITH c AS MATERIALIZED (
          SELECT o.id, o.owner FROM throughline.saga o
          WHERE o.ended_at IS NULL
            AND o.owner = ANY(ARRAY(SELECT r.id FROM throughline.saga_runner r WHERE r.lease_until < now()))
            AND o.name || '/' || o.version = ANY($2::text[])
          LIMIT $3 FOR UPDATE SKIP LOCKED
        )
        UPDATE throughline.saga s SET owner = $1::uuid, wake_at = NULL, parked = NULL
        FROM c WHERE s.id = c.id AND s.id = ANY(ARRAY(SELECT id FROM c))
        RETURNING ${COLUMNS}, c.owner AS previous_owner`,
        [runner(), known, limit],
      ),
    /** Makes visible what nobody can run: a definition, or a version of one, that no process here was given. */
    parkUnknown: async () => {
      const { rowCount } = await database.query(
        `
        UPDATE throughline.saga SET parked = 'no running process knows this saga in version ' || version
        WHERE ended_at IS NULL AND parked IS NULL AND NOT (name || '/' || version = ANY($1::text[]))
          AND ((owner IS NULL AND wake_at < now() - interval '10 seconds')
            OR owner = ANY(ARRAY(SELECT r.id FROM throughline.saga_runner r WHERE r.lease_until < now() - interval '10 seconds')))`,
        [known],
      );
      return rowCount ?? 0;
    },
    /** Sagas that are this runner's by the database. */
    mine: async () => {
      const { rows: found } = await database.query<{ id: string }>(
        'SELECT id FROM throughline.saga WHERE owner = $1::uuid AND ended_at IS NULL',
        [runner()],
      );
      return found.map(({ id }) => id);
    },
    /** Removes runners that are dead for long and own nothing. */
    forgetRunners: () =>
      database.query(`
        DELETE FROM throughline.saga_runner r WHERE r.lease_until < now() - interval '1 hour'
          AND NOT EXISTS (SELECT FROM throughline.saga s WHERE s.owner = r.id AND s.ended_at IS NULL)`),
  };
}

async function rows(database: Database, name: string, text: string, values: unknown[]): Promise<SagaRow[]> {
  return (await database.query<SagaRow & Record<string, unknown>>({ name, text, values })).rows;
}

/** What the journal and the signals say of sagas that were claimed. */
export async function load(database: Database, claimed: readonly SagaRow[]): Promise<LoadedSaga[]> {
  if (claimed.length === 0) return [];
  const ids = claimed.map(({ id }) => id);
  const journal = await database.query<{ saga_id: string; events: readonly SagaEvent[] }>({
    name: 'throughline-saga-load',
    text: 'SELECT saga_id, events FROM throughline.saga_journal WHERE saga_id = ANY($1::text[]) ORDER BY saga_id, seq',
    values: [ids],
  });
  const signals = await database.query<PendingSignal & { saga_id: string; name: string }>({
    name: 'throughline-saga-signals',
    text: `SELECT saga_id, name, payload, carrier FROM throughline.saga_signal
      WHERE saga_id = ANY($1::text[]) AND taken_at IS NULL ORDER BY saga_id, received_at`,
    values: [ids],
  });
  const checkpoints = Map.groupBy(journal.rows, ({ saga_id }) => saga_id);
  const pending = Map.groupBy(signals.rows, ({ saga_id }) => saga_id);
  return claimed.map((row) => ({
    ...row,
    checkpoints: checkpoints.get(row.id)?.map(({ events }) => events) ?? [],
    pending: new Map(pending.get(row.id)?.map(({ name, payload, carrier }) => [name, { payload, carrier }])),
  }));
}

/** Which of these sagas somebody is to look at now: a signal came while they were in hand (signals.ts). */
export async function dueAmong(database: Database, ids: readonly string[]): Promise<string[]> {
  const { rows: found } = await database.query<{ id: string }>({
    name: 'throughline-saga-due-among',
    text: `SELECT id FROM throughline.saga
      WHERE id = ANY($1::text[]) AND ended_at IS NULL AND owner IS NULL AND wake_at <= now()`,
    values: [ids],
  });
  return found.map(({ id }) => id);
}
