import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, test } from 'vitest';
import { type CrashStage, startCrashStage } from '../support/crash-stage.ts';
import { type CrashSystem, startCrashSystem } from '../support/crash-system.ts';
import type { Point } from './points.ts';
import { runPoint } from './run-point.ts';

/** Systems side by side: a process that starts again takes most of a point's time, and half of it is waiting. */
const SYSTEMS = 3;
const POINT_TIMEOUT_MS = 60_000;

/** One test a point. A system has one order at a time, so that a point is met by nobody else. */
export function testPoints(points: readonly Point[]): void {
  let stage: CrashStage;
  const free: CrashSystem[] = [];
  const all: CrashSystem[] = [];
  beforeAll(async () => {
    stage = await startCrashStage();
    all.push(...(await Promise.all(Array.from({ length: SYSTEMS }, () => startCrashSystem(stage)))));
    free.push(...all);
  }, POINT_TIMEOUT_MS);
  afterAll(async () => {
    await Promise.all(all.map((system) => system.close()));
    await stage?.close();
  });

  test.concurrent.each(points)(
    'SIGKILL of the $role $name',
    async (point) => {
      // As many tests run at once as there are systems; one that failed may have left its own in disorder.
      const system = free.pop() ?? (await another());
      await runPoint(system, point, `O-${randomBytes(4).toString('hex')}`);
      free.push(system);
    },
    POINT_TIMEOUT_MS,
  );

  const another = async () => {
    const system = await startCrashSystem(stage);
    all.push(system);
    return system;
  };
}
