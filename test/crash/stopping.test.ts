import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEmulator } from '../../emulator/index.ts';
import { type CrashStage, startCrashStage } from '../support/crash-stage.ts';
import { type CrashSystem, startCrashSystem } from '../support/crash-system.ts';
import { assertEndedWell, place } from './run-point.ts';

let stage: CrashStage;
let system: CrashSystem;
beforeAll(async () => {
  stage = await startCrashStage();
  system = await startCrashSystem(stage);
});
afterAll(async () => {
  await system?.close();
  await stage?.close();
});

/** An order whose workspace is being set up: the worker waits for the partner. */
async function setUpUnderWay(): Promise<{ readonly orderKey: string; readonly release: () => void }> {
  const orderKey = `O-${randomBytes(4).toString('hex')}`;
  const { held, release } = stage.gate.hold({ what: 'workspace/set-up', orderKey, when: 'before' });
  await place(system, orderKey);
  await held;
  return { orderKey, release };
}

const setUpsOf = (orderKey: string) =>
  stage.gate.calls.filter((call) => call.orderKey === orderKey && call.what === 'workspace/set-up').length;

describe('a worker that is told to stop with SIGTERM', () => {
  test('finishes the job that runs, and exits with 0', async () => {
    const { orderKey, release } = await setUpUnderWay();
    const { pid, exited } = system.processOf('worker');
    process.kill(pid, 'SIGTERM');
    await system.logged('worker', 'stopping');
    release();
    expect(await exited).toBe(0);
    expect(setUpsOf(orderKey)).toBe(1);
    await system.crash('worker'); // it is gone already: a new one is started
    await assertEndedWell(system, orderKey);
    expect(setUpsOf(orderKey)).toBe(1);
  });

  test('and told so again gives up at once, with exit code 1', async () => {
    const { orderKey, release } = await setUpUnderWay();
    const { pid, exited } = system.processOf('worker');
    process.kill(pid, 'SIGTERM');
    await system.logged('worker', 'stopping');
    process.kill(pid, 'SIGTERM');
    expect(await exited).toBe(1);
    await system.crash('worker');
    release();
    await assertEndedWell(system, orderKey);
  });
});

describe('an emulator that is restarted and has forgotten everything', () => {
  test('finds the worker again, and the order ends as if nothing had been', async () => {
    const { orderKey, release } = await setUpUnderWay();
    const { port } = stage.emulator;
    await stage.emulator.close();
    const emulator = await startEmulator({ port });
    await system.applyTopology();
    release();
    await assertEndedWell(system, orderKey);
    await emulator.close();
  });
});
