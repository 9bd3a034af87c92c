import { OptionsError } from '../../shared/options.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';

/**
 * A group of users, as a query.
 *
 * It selects `key` (unique, and what pages are ordered by), `address` (null: none), optionally `time_zone` (an IANA name), and
 * every field that templates may name, as text or null.
 */
export interface SegmentDefinition {
  /** Lower-case words joined by dashes. */
  readonly name: string;
  /** For operators. */
  readonly description: string;
  /** Without `ORDER BY` and `LIMIT`: pages are made around it. An index on the key lets them begin anywhere. */
  readonly sql: string;
  /** PostgreSQL's type of the key. Default `text`. */
  readonly keyType?: 'text' | 'bigint' | 'uuid';
  readonly fields: readonly string[];
}

export interface Segment extends SegmentDefinition {
  /** At most `limit` rows after the key `after`, in order. */
  page(client: SqlClient, options: PageOptions): Promise<readonly SegmentRow[]>;
}

export interface PageOptions {
  readonly after: string | undefined;
  readonly limit: number;
}

/** A user, as the segment's query found them. */
export interface SegmentRow {
  readonly key: string;
  readonly address: string | null;
  readonly timeZone: string | null;
  /** Field by name. */
  readonly fields: Readonly<Record<string, string | null>>;
}

const NAME = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const FIELD = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;

/** Errors: OptionsError. The query itself is tried when it is first used. */
export function defineSegment(definition: SegmentDefinition): Segment {
  const { name, sql, keyType = 'text', fields } = definition;
  const problems = [
    !NAME.test(name) && 'name: expected lower-case words joined by dashes',
    sql.trim() === '' && 'sql: expected a query',
    ...fields
      .filter((field) => !FIELD.test(field))
      .map((field) => `fields: "${field}" is no name of a field`),
  ].filter((problem) => problem !== false);
  if (problems.length > 0) throw new OptionsError(`segment ${name}`, problems);
  const text = `
    SELECT s.key::text AS key, to_json(s) AS row FROM (${sql}) s
    WHERE s.key IS NOT NULL AND ($1::text IS NULL OR s.key > $1::text::${keyType}) ORDER BY s.key LIMIT $2`;
  return {
    ...definition,
    async page(client, { after, limit }) {
      const { rows } = await client.query<{ key: string; row: Readonly<Record<string, unknown>> }>(text, [
        after ?? null,
        limit,
      ]);
      return rows.map(({ key, row }) => ({
        key,
        address: textOrNull(row['address']),
        timeZone: textOrNull(row['time_zone']),
        fields: Object.fromEntries(fields.map((field) => [field, textOrNull(row[field])])),
      }));
    },
  };
}

function textOrNull(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}

/** How many users there are in each segment, and in all of them together, each counted once. */
export async function countAudience(
  client: SqlClient,
  segments: readonly Segment[],
): Promise<{ readonly distinct: number; readonly each: readonly number[] }> {
  const union = segments.map(
    ({ sql }, index) => `SELECT ${index} AS segment, s.key::text AS key FROM (${sql}) s`,
  );
  const { rows } = await client.query<{ segment: number | null; count: number }>(`
    SELECT segment, count(DISTINCT key)::integer AS count FROM (${union.join(' UNION ALL ')}) a
    GROUP BY GROUPING SETS ((segment), ())`);
  const counts = new Map(rows.map(({ segment, count }) => [segment, count]));
  return {
    distinct: counts.get(null) ?? 0,
    each: segments.map((_, index) => counts.get(index) ?? 0),
  };
}

/** Shape: the segments named, in order. Errors: none; the names that there are none for. */
export function findSegments(
  all: readonly Segment[],
  names: readonly string[],
): { readonly found: readonly Segment[]; readonly unknown: readonly string[] } {
  const byName = new Map(all.map((segment) => [segment.name, segment]));
  const found = names.flatMap((name) => byName.get(name) ?? []);
  return { found, unknown: names.filter((name) => !byName.has(name)) };
}
