import type { QueryConfig, QueryResult, QueryResultRow } from 'pg';

/** Whatever runs a statement: a database, a transaction of ours, or a plain client or pool of `pg`. */
export interface SqlClient {
  query<Row extends QueryResultRow = QueryResultRow>(
    statement: string | QueryConfig,
    values?: unknown[],
  ): Promise<QueryResult<Row>>;
}
