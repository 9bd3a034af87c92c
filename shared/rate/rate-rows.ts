import type { SqlClient } from '../storage/sql-client.ts';

/** A rate as it is agreed on at this moment: an operator may have changed it since it was declared. */
export interface RateNumbers {
  readonly perSecond: number;
  readonly burst: number;
}

/** What became of the tokens that were asked for. */
export interface Grant extends RateNumbers {
  /** The tokens are good after this time, counted from the answer. */
  readonly afterMs: number;
}

/** For so long a process may hold tokens that it does not use yet, in ms, where the burst is large enough for it. */
const LONGEST_HOLD_MS = 200;

/**
 * How long tokens may be held, in ms. The bucket is smaller than the burst by what comes in during that time (see
 * `CAPACITY`, which says the same in SQL): tokens that are used late are no more than the burst for it.
 */
export function holdMs({ perSecond, burst }: RateNumbers): number {
  return Math.min(LONGEST_HOLD_MS, ((burst - Math.max(1, burst / 2)) / perSecond) * 1_000);
}

/** The most that one call may take: the bucket never holds less when it is full. */
export function mostTokens({ burst }: RateNumbers): number {
  return Math.max(1, Math.floor(burst / 2));
}

const CAPACITY = `greatest(1, burst / 2, burst - per_second * ${LONGEST_HOLD_MS / 1_000})`;
/** A clock that was set back must not stop a rate for as long as it was set back. */
const FILLED_AT = `CASE WHEN filled_at > now() + interval '5 s' THEN now() ELSE greatest(filled_at, now()) END`;

/**
 * Takes tokens, at once or, when there are too few, from those that come in next: whoever asks later has to wait longer.
 * A negative number gives back what was taken and not used.
 *
 * Shape: undefined when the rate was not declared.
 */
export async function takeTokens(
  client: SqlClient,
  name: string,
  tokens: number,
): Promise<Grant | undefined> {
  const { rows } = await client.query<{ per_second: number; burst: number; tokens: number }>({
    name: 'throughline-rate-take',
    text: `
      UPDATE throughline.shared_rate SET filled_at = ${FILLED_AT}, tokens = least(${CAPACITY},
        least(${CAPACITY}, tokens + per_second * greatest(0, extract(epoch FROM now() - filled_at)::float8)) - $2::float8)
      WHERE name = $1 RETURNING per_second, burst, tokens`,
    values: [name, tokens],
  });
  const row = rows[0];
  if (!row) return undefined;
  const { per_second: perSecond, burst } = row;
  return { perSecond, burst, afterMs: (Math.max(0, -row.tokens) / perSecond) * 1_000 };
}

/** Declares a rate, whose bucket is full at first. One that an operator changed stays so until the code asks for another one. */
export async function declareRate(
  client: SqlClient,
  name: string,
  { perSecond, burst }: RateNumbers,
): Promise<void> {
  await client.query(
    `INSERT INTO throughline.shared_rate AS r (name, per_second, burst, declared_per_second, declared_burst, tokens)
     VALUES ($1, $2, $3, $2, $3, greatest(1, $3::float8 / 2, $3::float8 - $2::float8 * ${LONGEST_HOLD_MS / 1_000}))
     ON CONFLICT (name) DO UPDATE SET per_second = $2, burst = $3, declared_per_second = $2, declared_burst = $3
     WHERE (r.declared_per_second, r.declared_burst) IS DISTINCT FROM ($2::float8, $3::float8)`,
    [name, perSecond, burst],
  );
}

/** Shape: whether there is such a rate. */
export async function updateRate(
  client: SqlClient,
  name: string,
  { perSecond, burst }: RateNumbers,
): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE throughline.shared_rate SET per_second = $2, burst = $3, filled_at = ${FILLED_AT},
       tokens = least(${CAPACITY}, tokens + per_second * greatest(0, extract(epoch FROM now() - filled_at)::float8))
     WHERE name = $1`,
    [name, perSecond, burst],
  );
  return rowCount === 1;
}
