import { hash } from 'node:crypto';
import { ThroughlineError } from '../errors.ts';
import { describeSchema } from './catalog.ts';
import type { Database, Transaction } from './database.ts';
import type { SqlClient } from './sql-client.ts';

/** One step forward. It is never changed once it was released: write another one. */
export interface Migration {
  /** `0001-what-it-adds`; applied in the order of the list. */
  readonly name: string;
  readonly sql: string;
}

/** The migrations of one schema, which nothing else writes to. */
export interface MigrationSet {
  readonly schema: string;
  readonly migrations: readonly Migration[];
}

export interface MigrationStatus {
  readonly schema: string;
  readonly applied: readonly string[];
  readonly pending: readonly string[];
  /** Sentences: what is not as the migrations left it. */
  readonly drift: readonly string[];
}

/** The database is not what the code expects; the message says in what way and what to do. */
export class SchemaError extends ThroughlineError {
  override readonly name = 'SchemaError';
  readonly code = 'SCHEMA';
  readonly problems: readonly string[];

  constructor(message: string, problems: readonly string[]) {
    super(`${message}\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

interface AppliedRow {
  readonly name: string;
  readonly checksum: string;
  readonly catalog: readonly string[];
}

/**
 * Applies what is pending, each migration in a transaction of its own, while other processes wait.
 *
 * Shape:  the names that were applied now.
 * Errors: SchemaError when an applied migration was changed, or the database is newer than this code; nothing is applied then.
 */
export async function migrate(database: Database, set: MigrationSet): Promise<string[]> {
  const applied: string[] = [];
  for (const migration of set.migrations) {
    const apply = async (tx: Transaction) => {
      await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [
        `throughline migrations ${set.schema}`,
      ]);
      const rows = await readApplied(tx, set, { create: true });
      refuse(set, rows);
      if (rows.some(({ name }) => name === migration.name)) return false;
      await tx.query(migration.sql);
      const catalog = await describeSchema(tx, set.schema);
      await tx.query(`INSERT INTO ${table(set)} (name, checksum, catalog) VALUES ($1, $2, $3)`, [
        migration.name,
        checksum(migration),
        JSON.stringify(catalog),
      ]);
      return true;
    };
    const isNew = await database.transaction(apply, { isPatient: true });
    if (isNew) applied.push(migration.name);
  }
  return applied;
}

/** What is applied, what is pending, and what somebody changed by hand. */
export async function migrationStatus(database: Database, set: MigrationSet): Promise<MigrationStatus> {
  const rows = await readApplied(database, set, { create: false });
  const applied = rows.map(({ name }) => name);
  return {
    schema: set.schema,
    applied,
    pending: set.migrations.map(({ name }) => name).filter((name) => !applied.includes(name)),
    drift: [...changedMigrations(set, rows), ...(await changedCatalog(database, set, rows.at(-1)))],
  };
}

/** For a service's start. Errors: SchemaError when anything is pending or has drifted. */
export async function assertMigrated(database: Database, sets: readonly MigrationSet[]): Promise<void> {
  const states = await Promise.all(sets.map((set) => migrationStatus(database, set)));
  const pending = states.flatMap(({ pending: names, schema }) =>
    names.map((name) => `${schema}: ${name} is pending`),
  );
  if (pending.length > 0)
    throw new SchemaError('the database is not migrated; run: throughline db migrate', pending);
  const drift = states.flatMap((state) => state.drift);
  if (drift.length > 0) throw new SchemaError('the database is not as its migrations left it', drift);
}

function table({ schema }: MigrationSet): string {
  return `"${schema}".migration`;
}

async function readApplied(
  client: SqlClient,
  set: MigrationSet,
  { create }: { readonly create: boolean },
): Promise<AppliedRow[]> {
  if (create) {
    await client.query(`CREATE SCHEMA IF NOT EXISTS "${set.schema}"`);
    await client.query(`CREATE TABLE IF NOT EXISTS ${table(set)} (
      name text PRIMARY KEY, checksum text NOT NULL, catalog json NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`);
  }
  const { rows: found } = await client.query<{ found: string | null }>('SELECT to_regclass($1) AS found', [
    table(set),
  ]);
  if (!found[0]?.found) return [];
  const { rows } = await client.query<AppliedRow>(
    `SELECT name, checksum, catalog FROM ${table(set)} ORDER BY applied_at, name`,
  );
  return rows;
}

function refuse(set: MigrationSet, rows: readonly AppliedRow[]): void {
  const problems = changedMigrations(set, rows);
  if (problems.length > 0) throw new SchemaError('the database cannot be migrated by this code', problems);
}

function changedMigrations(set: MigrationSet, rows: readonly AppliedRow[]): string[] {
  return rows.flatMap(({ name, checksum: stored }) => {
    const migration = set.migrations.find((one) => one.name === name);
    if (!migration) return [`${set.schema}: ${name} was applied by newer code than this`];
    return checksum(migration) === stored
      ? []
      : [`${set.schema}: ${name} was changed after it had been applied`];
  });
}

/** Compares the catalog with what it was after the last migration. */
async function changedCatalog(
  client: SqlClient,
  set: MigrationSet,
  last: AppliedRow | undefined,
): Promise<string[]> {
  if (!last) return [];
  // PostgreSQL names a table with its schema or without, depending on who asks: a role's search path has the schema of its name.
  const unqualified = (line: string) => line.replaceAll(`${set.schema}.`, '');
  const expected = new Set(last.catalog.map(unqualified));
  const actual = new Set((await describeSchema(client, set.schema)).map(unqualified));
  return [
    ...[...expected].filter((line) => !actual.has(line)).map((line) => `${set.schema}: missing: ${line}`),
    ...[...actual]
      .filter((line) => !expected.has(line))
      .map((line) => `${set.schema}: not of a migration: ${line}`),
  ];
}

function checksum({ sql }: Migration): string {
  return hash('sha256', sql, 'hex').slice(0, 32);
}
