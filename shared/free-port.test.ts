import { createServer } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { freePort } from './free-port.ts';

const random = vi.hoisted(() => ({ next: [] as number[] }));
vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>();
  return {
    ...crypto,
    randomInt: (min: number, max: number) => random.next.shift() ?? crypto.randomInt(min, max),
  };
});

test('is none that outgoing connections are given', async () => {
  for (let tries = 0; tries < 20; tries++) {
    const port = await freePort();
    expect(port).toBeGreaterThanOrEqual(10_000);
    expect(port).toBeLessThan(32_768);
  }
});

test('is none on which somebody listens', async () => {
  const taken = await freePort();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(taken, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  random.next = [taken, taken];
  expect(await freePort()).not.toBe(taken);
  expect(random.next).toEqual([]);
});
