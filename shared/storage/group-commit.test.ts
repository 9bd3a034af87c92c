import { type Context, context, createContextKey } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { GroupCommit, type GroupCommitOptions } from './group-commit.ts';

interface Commit {
  readonly items: readonly string[];
  readonly active: Context;
  store(): void;
  fail(error: unknown): void;
}

/** A store whose commits a test ends, one after the other. */
function createStore(options: Partial<GroupCommitOptions<string, string>> = {}) {
  const commits: Commit[] = [];
  const waiters: (() => void)[] = [];
  const group = new GroupCommit<string, string>({
    ...options,
    commit: (items) =>
      new Promise((resolve, reject) => {
        const store = () => resolve(items.map((item) => `${item} stored`));
        commits.push({ items, active: context.active(), store, fail: reject });
        for (const waiter of waiters.splice(0)) waiter();
      }),
  });
  const commit = async (number: number): Promise<Commit> => {
    for (;;) {
      const found = commits[number - 1];
      if (found) return found;
      await new Promise<void>((resolve) => waiters.push(resolve));
    }
  };
  return { group, commits, commit };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

let contexts: AsyncLocalStorageContextManager;
beforeEach(() => {
  contexts = new AsyncLocalStorageContextManager().enable();
  context.setGlobalContextManager(contexts);
});
afterEach(() => context.disable());

test('G2: an item that finds no group under way is committed at once, with what was added in the same turn', async () => {
  const { group, commit } = createStore();
  const all = Promise.all(['a', 'b', 'c'].map((item) => group.add(item)));
  const first = await commit(1);
  expect(first.items).toEqual(['a', 'b', 'c']);
  first.store();
  expect(await all).toEqual(['a stored', 'b stored', 'c stored']);
});

test('G1: what arrives during a commit forms the next group, and settles with that one', async () => {
  const { group, commit, commits } = createStore();
  const settled: string[] = [];
  const a = group.add('a').then((result) => settled.push(result));
  const first = await commit(1);
  const rest = Promise.all(['b', 'c'].map((item) => group.add(item).then((result) => settled.push(result))));
  await turn();
  expect(commits).toHaveLength(1);
  first.store();
  await a;
  expect(settled).toEqual(['a stored']);
  const second = await commit(2);
  expect(second.items).toEqual(['b', 'c']);
  second.store();
  await rest;
  expect(commits.flatMap(({ items }) => items)).toEqual(['a', 'b', 'c']);
});

test('G1: an item fails with its group, and later groups are not harmed', async () => {
  const { group, commit } = createStore();
  const failing = Promise.allSettled([group.add('a'), group.add('b')]);
  (await commit(1)).fail(new Error('no room'));
  expect((await failing).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  const next = group.add('c');
  (await commit(2)).store();
  expect(await next).toBe('c stored');
});

test('G4: much is spread over the groups that may be under way, little is not', async () => {
  const { group, commit, commits } = createStore({ maxInFlight: 2 });
  const many = Promise.all(Array.from({ length: 21 }, (_, index) => group.add(`item ${index}`)));
  (await commit(1)).store();
  (await commit(2)).store();
  await many;
  const few = Promise.all(Array.from({ length: 5 }, (_, index) => group.add(`item ${index}`)));
  (await commit(3)).store();
  await few;
  expect(commits.map(({ items }) => items.length)).toEqual([11, 10, 5]);
});

test('G3: nobody’s context is active in a commit', async () => {
  const { group, commit } = createStore();
  const key = createContextKey('whose');
  const added = context.with(context.active().setValue(key, 'mine'), () => group.add('a'));
  const first = await commit(1);
  expect(first.active.getValue(key)).toBeUndefined();
  first.store();
  await added;
});

test('a caller goes on in its own context after the commit', async () => {
  const { group, commit } = createStore();
  const key = createContextKey('whose');
  const seen = ['one', 'two'].map((name) =>
    context.with(context.active().setValue(key, name), async () => {
      await group.add(name);
      return context.active().getValue(key);
    }),
  );
  (await commit(1)).store();
  expect(await Promise.all(seen)).toEqual(['one', 'two']);
});

test('one bad item does not fail its neighbours when the error isolates', async () => {
  const committed: (readonly string[])[] = [];
  const group = new GroupCommit<string, string>({
    isolates: (error) => (error as Error).message === 'bad item',
    commit: async (items) => {
      committed.push(items);
      if (items.includes('bad')) throw new Error('bad item');
      return items;
    },
  });
  const all = await Promise.allSettled(['a', 'bad', 'b'].map((item) => group.add(item)));
  expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(committed).toEqual([['a', 'bad', 'b'], ['a'], ['bad'], ['b']]);
});

test('a group whose outcome is not known is not tried again item by item', async () => {
  const { group, commit, commits } = createStore({
    isolates: (error) => (error as Error).message === 'bad item',
  });
  const all = Promise.allSettled([group.add('a'), group.add('b')]);
  (await commit(1)).fail(new Error('connection lost'));
  expect((await all).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(commits).toHaveLength(1);
});

test('groups are no larger and no more numerous at once than allowed', async () => {
  const { group, commit, commits } = createStore({ maxItems: 2, maxInFlight: 2 });
  const all = Promise.all(['a', 'b', 'c', 'd', 'e'].map((item) => group.add(item)));
  await commit(2);
  await turn();
  expect(commits.map(({ items }) => items)).toEqual([
    ['a', 'b'],
    ['c', 'd'],
  ]);
  commits[1]?.store();
  const third = await commit(3);
  expect(third.items).toEqual(['e']);
  third.store();
  commits[0]?.store();
  expect(await all).toHaveLength(5);
});

test('drained waits for what is under way and for what waits behind it, failures included', async () => {
  const { group, commit } = createStore();
  await group.drained();
  let isDrained = false;
  const failing = group.add('a').catch(() => {});
  const first = await commit(1);
  const behind = group.add('b');
  const drained = group.drained().then(() => {
    isDrained = true;
  });
  first.fail(new Error('no room'));
  await failing;
  const second = await commit(2);
  expect(isDrained).toBe(false);
  second.store();
  await Promise.all([behind, drained]);
});
