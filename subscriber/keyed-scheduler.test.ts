import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { KeyedScheduler } from './keyed-scheduler.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

interface Item {
  readonly name: string;
  readonly key: string | undefined;
}

/** `a1` has the key `a`, `-1` has none. */
const item = (name: string): Item => ({ name, key: name.startsWith('-') ? undefined : name[0] });

/** A scheduler whose runs a test ends by hand. */
function scheduling(maxRunning: number) {
  const started: string[] = [];
  const ends = new Map<string, (againAfterMs?: number) => void>();
  const scheduler = new KeyedScheduler<Item>({
    maxRunning,
    keyOf: ({ key }) => key,
    run: ({ name }) =>
      new Promise((resolve) => {
        started.push(name);
        ends.set(name, (againAfterMs) => {
          ends.delete(name);
          resolve(againAfterMs);
        });
      }),
  });
  const settle = () => vi.advanceTimersByTimeAsync(0);
  return {
    scheduler,
    started,
    running: () => [...ends.keys()],
    add: (...names: string[]) => {
      for (const name of names) scheduler.add(item(name));
    },
    async end(name: string, againAfterMs?: number) {
      const end = ends.get(name);
      if (!end) throw new Error(`${name} does not run`);
      end(againAfterMs);
      await settle();
    },
  };
}

const names = (items: readonly Item[]) => items.map(({ name }) => name);

test('runs items without a key side by side up to the bound', async () => {
  const { add, started, end, scheduler } = scheduling(2);
  add('-1', '-2', '-3');
  expect(started).toEqual(['-1', '-2']);
  expect(scheduler.runningCount).toBe(2);
  await end('-2');
  expect(started).toEqual(['-1', '-2', '-3']);
});

test('runs items of one key one after another, in order (K1)', async () => {
  const { add, started, end } = scheduling(10);
  add('a1', 'a2', 'b1', 'a3');
  expect(started).toEqual(['a1', 'b1']);
  await end('a1');
  expect(started).toEqual(['a1', 'b1', 'a2']);
  await end('a2');
  expect(started).toEqual(['a1', 'b1', 'a2', 'a3']);
});

test('an item that runs again keeps its key but not its slot (K2)', async () => {
  const { add, started, end } = scheduling(1);
  add('a1', 'a2', 'b1');
  await end('a1', 1_000);
  expect(started).toEqual(['a1', 'b1']);
  await end('b1');
  await vi.advanceTimersByTimeAsync(999);
  expect(started).toEqual(['a1', 'b1']);
  await vi.advanceTimersByTimeAsync(1);
  expect(started).toEqual(['a1', 'b1', 'a1']);
  await end('a1');
  expect(started.at(-1)).toBe('a2');
});

test('an item that waits for its next try can be hurried, once, and no other', async () => {
  const { add, started, end, scheduler } = scheduling(2);
  const waiting = item('a1');
  scheduler.add(waiting);
  add('a2', '-1');
  await end('a1', 600_000);
  scheduler.hurry(item('a1'));
  scheduler.hurry(item('-1'));
  expect(started).toEqual(['a1', '-1']);
  scheduler.hurry(waiting);
  scheduler.hurry(waiting);
  expect(started).toEqual(['a1', '-1', 'a1']);
  await end('a1');
  await vi.advanceTimersByTimeAsync(600_000);
  expect(started).toEqual(['a1', '-1', 'a1', 'a2']);
});

test('a key that was used up can be used again', async () => {
  const { add, started, end } = scheduling(5);
  add('a1');
  await end('a1');
  add('a2', 'a3');
  await end('a2');
  expect(started).toEqual(['a1', 'a2', 'a3']);
});

describe('taking out what does not run', () => {
  test('gives it in order within a key and leaves what runs', async () => {
    const { add, scheduler, running, end, started } = scheduling(1);
    add('a1', 'a2', 'b1', 'a3', '-1', 'b2');
    const taken = names(scheduler.takeWaiting());
    expect(taken.toSorted()).toEqual(['-1', 'a2', 'a3', 'b1', 'b2']);
    expect(taken.filter((name) => name.startsWith('b'))).toEqual(['b1', 'b2']);
    expect(running()).toEqual(['a1']);
    await end('a1');
    expect(started).toEqual(['a1']);
  });

  test('takes an item that waits for its next try, before those behind it', async () => {
    const { add, scheduler, end, started } = scheduling(5);
    add('a1', 'a2');
    await end('a1', 1_000);
    expect(names(scheduler.takeWaiting())).toEqual(['a1', 'a2']);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(started).toEqual(['a1']);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('leaves the keys free for what comes afterwards', async () => {
    const { add, scheduler, end, started } = scheduling(1);
    add('a1', 'b1', 'b2');
    scheduler.takeWaiting();
    add('b3', 'a4');
    await end('a1');
    await end('b3');
    expect(started).toEqual(['a1', 'b3', 'a4']);
  });

  test('of one key takes only those behind the running one', async () => {
    const { add, scheduler, end, started } = scheduling(5);
    add('a1', 'a2', 'a3', 'b1', 'b2');
    expect(names(scheduler.takeBehind('a'))).toEqual(['a2', 'a3']);
    expect(scheduler.takeBehind('unknown')).toEqual([]);
    await end('a1');
    await end('b1');
    expect(started).toEqual(['a1', 'b1', 'b2']);
  });
});

test('is idle at once when nothing runs, and else when the last run has ended', async () => {
  const { add, scheduler, end } = scheduling(5);
  await scheduler.idle();
  add('a1', '-1');
  let idle = 0;
  for (let i = 0; i < 2; i++) void scheduler.idle().then(() => idle++);
  await end('a1');
  expect(idle).toBe(0);
  await end('-1');
  expect(idle).toBe(2);
});

test('a long queue costs no more than its length', async () => {
  const scheduler = new KeyedScheduler<Item>({
    maxRunning: 1,
    keyOf: () => undefined,
    run: async () => undefined,
  });
  for (let i = 0; i < 50_000; i++) scheduler.add(item(`-${i}`));
  await scheduler.idle();
  expect(scheduler.takeWaiting()).toEqual([]);
});

/**
 * The model: items in order of arrival, each waiting, running, resting until a time, or gone. One may run when no earlier
 * one of its key is left. Whenever fewer run than may, whatever may run runs.
 */
interface Modelled {
  readonly item: Item;
  state: 'waiting' | 'running' | 'resting';
  restsUntilMs: number;
}

const command = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      key: fc.constantFrom(undefined, 'a', 'b', 'c'),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('end' as const),
      which: fc.nat(),
      againMs: fc.constantFrom(undefined, undefined, 0, 5, 20),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 5, 30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('take' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('takeBehind' as const), key: fc.constantFrom('a', 'b') }),
  },
);

test('does what the model does, for any sequence of arrivals, ends, waits and take-outs', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.array(command, { maxLength: 60 }),
      async (maxRunning, commands) => {
        const { scheduler, running, end } = scheduling(maxRunning);
        let model: Modelled[] = [];
        let nowMs = 0;
        const modelRunning = () => model.filter(({ state }) => state === 'running');
        const mayRun = (one: Modelled, index: number) =>
          (one.state === 'waiting' || (one.state === 'resting' && one.restsUntilMs <= nowMs)) &&
          !model.slice(0, index).some(({ item: { key } }) => key !== undefined && key === one.item.key);

        for (const [number, step] of commands.entries()) {
          if (step.kind === 'add') {
            const added = { name: `${number}`, key: step.key };
            model.push({ item: added, state: 'waiting', restsUntilMs: 0 });
            scheduler.add(added);
          } else if (step.kind === 'end') {
            const chosen = modelRunning()[step.which % Math.max(1, modelRunning().length)];
            if (!chosen) continue;
            if (step.againMs === undefined) model = model.filter((one) => one !== chosen);
            else Object.assign(chosen, { state: 'resting', restsUntilMs: nowMs + step.againMs });
            await end(chosen.item.name, step.againMs);
          } else if (step.kind === 'wait') {
            nowMs += step.ms;
            await vi.advanceTimersByTimeAsync(step.ms);
          } else {
            const isTaken = ({ state, item: { key } }: Modelled, index: number) =>
              state !== 'running' &&
              (step.kind === 'take' ||
                (key === step.key && model.slice(0, index).some((earlier) => earlier.item.key === key)));
            const expected = model.filter(isTaken);
            const taken = step.kind === 'take' ? scheduler.takeWaiting() : scheduler.takeBehind(step.key);
            model = model.filter((one) => !expected.includes(one));
            for (const key of [undefined, 'a', 'b', 'c']) {
              const ofKey = (items: readonly Item[]) =>
                names(items.filter((one) => one.key === key)).toSorted();
              const inOrder = (items: readonly Item[]) => names(items.filter((one) => one.key === key));
              const wanted = expected.map((one) => one.item);
              expect(ofKey(taken)).toEqual(ofKey(wanted));
              if (key !== undefined) expect(inOrder(taken)).toEqual(inOrder(wanted));
            }
          }
          // The real one has chosen; the model checks that each choice was allowed and that none was missed.
          for (const name of running()) {
            const index = model.findIndex((one) => one.item.name === name);
            const one = model[index];
            if (!one) throw new Error(`${name} runs and is not there any more`);
            if (one.state === 'running') continue;
            expect(mayRun(one, index), `${name} may run`).toBe(true);
            one.state = 'running';
          }
          expect(names(modelRunning().map((one) => one.item)).toSorted()).toEqual(running().toSorted());
          expect(running().length).toBeLessThanOrEqual(maxRunning);
          if (running().length < maxRunning) expect(model.filter(mayRun)).toEqual([]);
        }
      },
    ),
    { numRuns: 300 },
  );
});
