import { type Context, createContextKey, ROOT_CONTEXT } from '@opentelemetry/api';
import { afterEach, expect, test } from 'vitest';
import { endedSpansSaved, releaseEndedSpans, setSpanKeeper } from './release.ts';

afterEach(() => setSpanKeeper(undefined));

test('without telemetry nothing is released and nothing is waited for', () => {
  releaseEndedSpans();
  expect(endedSpansSaved()).toBeUndefined();
});

test('releases what ended below the given span, by default the active one', () => {
  const released: Context[] = [];
  setSpanKeeper({ release: (from) => released.push(from), save: undefined });
  const given = ROOT_CONTEXT.setValue(createContextKey('given'), true);
  releaseEndedSpans();
  releaseEndedSpans(given);
  expect(released).toEqual([ROOT_CONTEXT, given]);
});

test('where spans leave in the background nothing is waited for', () => {
  setSpanKeeper({ release: () => {}, save: undefined });
  expect(endedSpansSaved()).toBeUndefined();
});

test('what becomes final waits for the export when told to', async () => {
  const exported = Promise.withResolvers<void>();
  setSpanKeeper({ release: () => {}, save: () => exported.promise });
  let isSaved = false;
  const saving = endedSpansSaved()?.then(() => {
    isSaved = true;
  });
  await Promise.resolve();
  expect(isSaved).toBe(false);
  exported.resolve();
  await saving;
  expect(isSaved).toBe(true);
});
