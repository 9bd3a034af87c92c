import { type Database, DatabaseUnavailableError, type Transaction } from '../../shared/storage/database.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';

/** A real database behind a gate: statements can be held back, or lose their answer, as a stalled process's do. */
export interface GatedDatabase extends Database {
  /** Holds every statement that `matches` (by default all of them) until it is let go. */
  hold(matches?: (text: string) => boolean): Hold;
  /** The next statement that `matches` takes effect, and its answer is lost. Resolves when that has happened. */
  loseAnswer(matches: (text: string) => boolean): Promise<void>;
  /** The next statement that `matches` never arrives. Resolves when that has happened. */
  loseStatement(matches: (text: string) => boolean): Promise<void>;
  /** Lets go of all that is held. */
  letGo(): void;
}

export interface Hold {
  /** Resolves when the first statement is held. */
  readonly reached: Promise<void>;
  letGo(): void;
}

interface Rule {
  readonly matches: (text: string) => boolean;
  readonly before: () => Promise<void>;
  readonly after: () => Promise<void>;
}

const nothing = async () => {};

export function gateDatabase(database: Database): GatedDatabase {
  const rules = new Set<Rule>();
  const holds = new Set<Hold>();
  const gated = (client: SqlClient): SqlClient['query'] =>
    async function query(statement: Parameters<SqlClient['query']>[0], values?: unknown[]) {
      const text = typeof statement === 'string' ? statement : `${statement.name}: ${statement.text}`;
      const applied = [...rules].filter(({ matches }) => matches(text));
      for (const { before } of applied) await before();
      const result = await client.query(statement, values);
      for (const { after } of applied) await after();
      return result;
    } as SqlClient['query'];
  const lose = (matches: Rule['matches'], when: 'before' | 'after') => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const fail = async () => {
      rules.delete(rule);
      resolve();
      throw new DatabaseUnavailableError('the connection was lost', { outcomeUnknown: true });
    };
    const rule: Rule = { matches, before: nothing, after: nothing, [when]: fail };
    rules.add(rule);
    return promise;
  };
  return {
    ...database,
    query: gated(database),
    transaction: (work) =>
      database.transaction((tx) => work({ ...tx, query: gated(tx) } satisfies Transaction)),
    hold(matches = () => true) {
      const reached = Promise.withResolvers<void>();
      const opened = Promise.withResolvers<void>();
      const before = () => {
        reached.resolve();
        return opened.promise;
      };
      const rule = { matches, before, after: nothing };
      rules.add(rule);
      const letGo = () => {
        rules.delete(rule);
        opened.resolve();
      };
      const hold = { reached: reached.promise, letGo };
      holds.add(hold);
      return hold;
    },
    letGo() {
      for (const hold of holds) hold.letGo();
    },
    loseAnswer: (matches) => lose(matches, 'after'),
    loseStatement: (matches) => lose(matches, 'before'),
  };
}
