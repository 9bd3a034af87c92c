import type pg from 'pg';
import type { Rows, Store } from './by-hand.ts';

/** A commit for each step of each saga. */
export function stepCommit(pool: pg.Pool): Store {
  return async (rows) => {
    await pool.query(statement(rows));
  };
}

function statement({ begin, step, end }: Rows) {
  if (begin) {
    const text = 'INSERT INTO saga (id, input) VALUES ($1, $2)';
    return { name: 'begin', text, values: [begin.id, JSON.stringify(begin.input)] };
  }
  const values = [step?.saga_id, step?.seq, step?.name, JSON.stringify(step?.result)];
  if (!end) return { name: 'step', text: STEP, values };
  return { name: 'last-step', text: LAST_STEP, values: [...values, end.state] };
}

const STEP = 'INSERT INTO step (saga_id, seq, name, result) VALUES ($1, $2, $3, $4)';
const LAST_STEP = `WITH stored AS (${STEP}) UPDATE saga SET state = $5, ended_at = now() WHERE id = $1`;
