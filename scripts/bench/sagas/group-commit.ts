import type pg from 'pg';
import type { Rows, Store } from './by-hand.ts';

interface Waiting {
  readonly rows: Rows;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One commit for all sagas in flight: whatever arrives while the last one runs forms the next. */
export function groupCommit(pool: pg.Pool): Store {
  let waiting: Waiting[] = [];
  let isCommitting = false;
  const commit = async () => {
    isCommitting = true;
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      try {
        await pool.query(statement(group.map(({ rows }) => rows)));
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
      await new Promise(setImmediate); // so that those who were just told join the next group
    }
    isCommitting = false;
  };
  return (rows) =>
    new Promise((resolve, reject) => {
      waiting.push({ rows, resolve, reject });
      if (!isCommitting) void commit();
    });
}

function statement(group: readonly Rows[]) {
  const of = (part: keyof Rows) => JSON.stringify(group.flatMap((rows) => rows[part] ?? []));
  const ended = group.flatMap(({ end }) => end?.id ?? []);
  return { name: 'group', text: GROUP, values: [of('begin'), of('step'), of('end'), ended] };
}

/** The ids come as an array besides: without it a plan made for an empty table reads all of a big one. */
const GROUP = `
  WITH begun AS (
    INSERT INTO saga (id, input) SELECT id, input FROM json_to_recordset($1::json) AS x (id text, input json)
  ), stepped AS (
    INSERT INTO step (saga_id, seq, name, result)
    SELECT saga_id, seq, name, result
    FROM json_to_recordset($2::json) AS x (saga_id text, seq integer, name text, result json)
  )
  UPDATE saga SET state = x.state, ended_at = now()
  FROM json_to_recordset($3::json) AS x (id text, state text)
  WHERE saga.id = x.id AND saga.id = ANY($4::text[])`;
