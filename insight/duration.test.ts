import { expect, test } from 'vitest';
import { humaniseMs } from './duration.ts';

test.each([
  [0, '0 µs'],
  [0.64, '640 µs'],
  [0.9999, '1.0 ms'],
  [4.24, '4.2 ms'],
  [9.96, '10 ms'],
  [182.4, '182 ms'],
  [999.6, '1.00 s'],
  [1_240, '1.24 s'],
  [12_340, '12.3 s'],
  [59_960, '1 min 0 s'],
  [185_000, '3 min 5 s'],
  [3_599_600, '1 h 0 min'],
  [7_800_000, '2 h 10 min'],
  [-3, '-3.0 ms'],
])('%d ms reads as %s', (durationMs, text) => {
  expect(humaniseMs(durationMs)).toBe(text);
});
