import { expect, test, vi } from 'vitest';
import { boundExporter, type ExportOutcome } from './bounded-exporter.ts';

function bounded(timeoutMs = 1_000) {
  vi.useFakeTimers();
  const under: ((result: ExportOutcome) => void)[] = [];
  const results: ExportOutcome[] = [];
  const abort = vi.fn();
  const exporter = boundExporter<string>(
    { export: (_spans, done) => void under.push(done), shutdown: async () => {} },
    { timeoutMs, abort },
  );
  return {
    exporter,
    under,
    results,
    abort,
    send: () => exporter.export(['s'], (result) => results.push(result)),
  };
}

test('B1. a batch is answered for once, in time, and late answers change nothing', async () => {
  const { under, results, abort, send } = bounded();
  send();
  send();
  under[0]?.({ code: 0 });
  await vi.advanceTimersByTimeAsync(1_000);
  under[1]?.({ code: 0 });
  expect(results.map(({ code, error }) => [code, error?.message])).toEqual([
    [0, undefined],
    [1, 'no answer within 1000 ms'],
  ]);
  expect(abort).toHaveBeenCalledTimes(1);
  vi.useRealTimers();
});

test('B2. after it gave up nothing is under way, and what comes later fails at once', async () => {
  const { exporter, under, results, send } = bounded();
  send();
  const settled = exporter.settled();
  exporter.giveUp();
  await settled;
  send();
  under[0]?.({ code: 0 });
  expect(results.map(({ code }) => code)).toEqual([1, 1]);
  expect(under).toHaveLength(1);
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test('an exporter that throws has failed', () => {
  const results: ExportOutcome[] = [];
  const exporter = boundExporter<string>(
    {
      export() {
        throw new Error('no such host');
      },
      shutdown: async () => {},
    },
    { timeoutMs: 10 },
  );
  exporter.export([], (result) => results.push(result));
  expect(results).toMatchObject([{ code: 1, error: { message: 'no such host' } }]);
});
