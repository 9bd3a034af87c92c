import { afterAll, beforeAll, test, vi } from 'vitest';
import { type CrashStage, startCrashStage } from '../support/crash-stage.ts';
import { type CrashSystem, startCrashSystem } from '../support/crash-system.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import type { Point } from './points.ts';
import { runPoints } from './run-point.ts';

/** Systems side by side: half of a point's time is waiting for leases to run out. */
const SYSTEMS = 3;

type Outcomes = Promise<PromiseSettledResult<void>[]>;

/**
 * One test a point. Points at partners' calls share a kill: each holds an order of its own where it is, and the process
 * that has them all in hand dies once. A point at a statement has a system to itself, because the statement is shared by all.
 */
export function testPoints(points: readonly Point[]): void {
  let stage: CrashStage;
  const systems = createPool<CrashSystem>();
  beforeAll(async () => {
    stage = await startCrashStage();
    await Promise.all(
      Array.from({ length: SYSTEMS }, async () => systems.add(await startCrashSystem(stage))),
    );
  });
  afterAll(async () => {
    await Promise.all(systems.all().map((system) => system.close()));
    await stage?.close();
  });

  const groups = [
    ...Map.groupBy(points, (point) =>
      point.place.at === 'effect' && !point.next ? keyOf(point) : point,
    ).values(),
  ];
  const cases = groups.flatMap((group) => {
    let outcomes: Outcomes | undefined;
    const run = () => (outcomes ??= systems.use((system) => runPoints(system, group)));
    return group.map(({ role, name }, index) => ({ role, name, index, run }));
  });
  vi.setConfig({ maxConcurrency: cases.length });
  test.concurrent.each(cases)(
    'SIGKILL of the $role $name',
    async ({ run, index }) => {
      const outcome = (await run())[index];
      if (outcome?.status === 'rejected') throw outcome.reason;
    },
    // They are begun together and wait for their turn.
    PATIENCE_MS * (2 + groups.length / SYSTEMS),
  );
}

function keyOf({ role, when }: Point): string {
  return `${role} ${when}`;
}

interface Pool<T> {
  add(one: T): void;
  all(): readonly T[];
  /** Waits for one that is free. */
  use<R>(work: (one: T) => Promise<R>): Promise<R>;
}

function createPool<T>(): Pool<T> {
  const members: T[] = [];
  const free: T[] = [];
  const waiting: (() => void)[] = [];
  return {
    add(one) {
      members.push(one);
      free.push(one);
    },
    all: () => members,
    async use(work) {
      for (;;) {
        const one = free.pop();
        if (one === undefined) {
          await new Promise<void>((resolve) => waiting.push(resolve));
          continue;
        }
        try {
          return await work(one);
        } finally {
          free.push(one);
          waiting.shift()?.();
        }
      }
    },
  };
}
