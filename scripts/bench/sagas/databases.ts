import {
  type Database,
  type EmbeddedPostgres,
  migrate,
  openDatabase,
  startEmbeddedPostgres,
  THROUGHLINE_MIGRATIONS,
} from '../../../shared/storage/index.ts';

/** The PostgreSQL that all contenders share, each with a database of its own. */
export interface Databases {
  /** Of the server's first process. */
  readonly pid: number;
  /** Shape: its URL. */
  create(name: string): Promise<string>;
  /** With Throughline's tables. */
  createMigrated(name: string): Promise<string>;
  copy(from: string, to: string): Promise<string>;
  drop(name: string): Promise<void>;
  close(): Promise<void>;
}

/** Started with the package's own settings, `synchronous_commit` on. Errors: EmbeddedPostgresError. */
export async function startDatabases(): Promise<Databases> {
  const server = await startEmbeddedPostgres();
  const admin = openDatabase({ connectionString: server.url, maxConnections: 1 });
  const create = async (name: string, template = '') => {
    await admin.query(`CREATE DATABASE ${name} ${template}`);
    return urlOf(server, name);
  };
  return {
    pid: await serverPid(admin),
    create: (name) => create(name),
    copy: (from, to) => create(to, `TEMPLATE ${from}`),
    async createMigrated(name) {
      const url = await create(name);
      await inDatabase(url, async (database) => {
        await migrate(database, THROUGHLINE_MIGRATIONS);
      });
      return url;
    },
    async drop(name) {
      await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
    async close() {
      await admin.close();
      await server.close();
    },
  };
}

export async function inDatabase<T>(url: string, work: (database: Database) => Promise<T>): Promise<T> {
  const database = openDatabase({ connectionString: url, maxConnections: 1, statementTimeoutMs: 0 });
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

function urlOf({ url }: EmbeddedPostgres, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

async function serverPid(database: Database): Promise<number> {
  const { rows } = await database.query<{ text: string }>(`SELECT pg_read_file('postmaster.pid') AS text`);
  return Number(rows[0]?.text.split('\n')[0]);
}
