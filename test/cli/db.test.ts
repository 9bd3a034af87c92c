import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { type Database, openDatabase } from '../../shared/storage/database.ts';
import { drop, withDatabase } from '../support/postgres-server.ts';
import { complaint, throughline } from './throughline.ts';

describe('throughline db', () => {
  let admin: Database;
  let database: Database;
  let name: string;
  let env: Record<string, string>;

  beforeEach(async () => {
    const { url } = inject('postgres');
    name = `throughline_cli_${randomBytes(6).toString('hex')}`;
    admin = openDatabase({ connectionString: url, maxConnections: 1 });
    await admin.query(`CREATE DATABASE ${name}`);
    env = { DATABASE_URL: withDatabase(url, name) };
    database = openDatabase({ connectionString: withDatabase(url, name), maxConnections: 1 });
  });
  afterEach(async () => {
    await database.close();
    await drop(admin, name);
    await admin.close();
  });

  it('migrates an empty database, once, and says how it stands before and after', async () => {
    const before = await throughline(['db', 'status', '--schema', 'all'], env);
    expect(before.exitCode).toBe(1);
    expect(before.stdout).toMatch(/throughline +0001-outbox-and-inbox +pending\n/);

    const migrated = await throughline(['db', 'migrate', '--schema', 'all'], env);
    expect([migrated.exitCode, migrated.stderr]).toEqual([0, '']);
    expect(migrated.stdout).toMatch(/^throughline: applied 0001-outbox-and-inbox\n/);
    expect(migrated.stdout).toContain('shop: applied 0001-orders-and-contracts\n');

    const again = await throughline(['db', 'migrate', '--schema', 'all'], env);
    expect([again.exitCode, again.stdout]).toEqual([0, 'Nothing is pending.\n']);
    const after = await throughline(['db', 'status', '--schema', 'all', '--json'], env);
    expect(after.exitCode).toBe(0);
    const document = JSON.parse(after.stdout);
    expect(document.upToDate).toBe(true);
    expect(document.sets.map((set: { schema: string }) => set.schema)).toEqual(['throughline', 'shop']);
    expect(document.sets[0]).toMatchObject({ pending: [], drift: [] });
  });

  it('lets several processes migrate at once', async () => {
    const ended = await Promise.all([1, 2, 3].map(() => throughline(['db', 'migrate', '--json'], env)));
    expect(ended.map(({ exitCode, stderr }) => [exitCode, stderr])).toEqual([1, 2, 3].map(() => [0, '']));
    const applied = ended.flatMap(({ stdout }) =>
      (JSON.parse(stdout).sets as { applied: string[] }[]).flatMap((set) => set.applied),
    );
    expect(new Set(applied).size).toBe(applied.length);
  });

  it("leaves the reference shop's tables out unless they are asked for", async () => {
    await throughline(['db', 'migrate'], env);
    const { rows } = await database.query("SELECT 1 FROM pg_namespace WHERE nspname = 'shop'");
    expect(rows).toEqual([]);
    expect((await throughline(['db', 'status'], env)).exitCode).toBe(0);
    expect((await throughline(['db', 'status', '--schema', 'shop'], env)).exitCode).toBe(1);
  });

  it('shows what somebody changed by hand', async () => {
    await throughline(['db', 'migrate'], env);
    await database.query('ALTER TABLE throughline.outbox ADD COLUMN mine text');
    const { exitCode, stdout } = await throughline(['db', 'status'], env);
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^drift: throughline: not of a migration: .*mine/m);
  });

  it('refuses to migrate a database that newer code has migrated', async () => {
    await throughline(['db', 'migrate'], env);
    await database.query(
      "INSERT INTO throughline.migration (name, checksum, catalog) VALUES ('9999-of-the-future', 'x', '[]')",
    );
    const ended = await throughline(['db', 'migrate'], env);
    expect(complaint(ended)).toBe(
      'the database cannot be migrated by this code: throughline: 9999-of-the-future was applied by newer code than this',
    );
    expect(ended.exitCode).toBe(1);
  });

  it.each([
    ['saga', 'list'],
    ['saga', 'show', 'any'],
    ['saga', 'retry', 'any'],
  ])('says what to run when the database is not migrated: %s %s', async (...args) => {
    const ended = await throughline(args, env);
    expect(complaint(ended)).toBe(
      'the database is not migrated, or not as far as this version needs it; run: throughline db migrate',
    );
    expect(ended.exitCode).toBe(1);
  });
});
