import { type Database, DatabaseUnavailableError, type Transaction } from '../../shared/storage/database.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';

/**
 * A real database behind a gate: statements can be held back, or lose their answer, as a stalled process's do. So can the
 * answer to `COMMIT`.
 */
export interface GatedDatabase extends Database {
  /** Holds every statement that `matches` (by default all of them), or its answer, until it is let go. */
  hold(matches?: (text: string) => boolean, what?: 'statement' | 'answer'): Hold;
  /** The next statement that `matches` takes effect, and its answer is lost. Resolves when that has happened. */
  loseAnswer(matches: (text: string) => boolean): Promise<void>;
  /** The next statement that `matches` never arrives. Resolves when that has happened. */
  loseStatement(matches: (text: string) => boolean): Promise<void>;
  /** The server refuses the next statement that `matches`, with this code. Resolves when that has happened. */
  refuse(matches: (text: string) => boolean, code: string): Promise<void>;
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
  const transaction: Database['transaction'] = async (work) => {
    const callbacks: (() => void)[] = [];
    const afterCommit = (callback: () => void) => void callbacks.push(callback);
    const result = await database.transaction((tx) =>
      work({ ...tx, query: gated(tx), afterCommit } satisfies Transaction),
    );
    for (const { after } of [...rules].filter(({ matches }) => matches('COMMIT'))) await after();
    for (const callback of callbacks) callback();
    return result;
  };
  const failNext = (matches: Rule['matches'], when: 'before' | 'after', error: Error) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const fail = async () => {
      rules.delete(rule);
      resolve();
      throw error;
    };
    const rule: Rule = { matches, before: nothing, after: nothing, [when]: fail };
    rules.add(rule);
    return promise;
  };
  const lost = () => new DatabaseUnavailableError('the connection was lost', { outcomeUnknown: true });
  return {
    ...database,
    query: gated(database),
    transaction,
    hold(matches = () => true, what = 'statement') {
      const reached = Promise.withResolvers<void>();
      const opened = Promise.withResolvers<void>();
      const wait = () => {
        reached.resolve();
        return opened.promise;
      };
      const when = what === 'answer' ? 'after' : 'before';
      const rule: Rule = { matches, before: nothing, after: nothing, [when]: wait };
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
    loseAnswer: (matches) => failNext(matches, 'after', lost()),
    loseStatement: (matches) => failNext(matches, 'before', lost()),
    refuse: (matches, code) =>
      failNext(matches, 'before', Object.assign(new Error('the server refuses it'), { code })),
  };
}
