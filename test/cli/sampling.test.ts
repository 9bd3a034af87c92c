import { describe, expect, it } from 'vitest';
import { throughline } from './throughline.ts';

const ARGS = [
  '--rps',
  '1000',
  '--error-rate',
  '0.005',
  '--slow-rate',
  '0.01',
  '--keep',
  '0.05',
  '--trace-kb',
  '10',
];

describe('throughline sampling estimate', () => {
  it('prints traces a second, a day, and gigabytes a day, without a database', async () => {
    const { exitCode, stdout, stderr } = await throughline(['sampling', 'estimate', ...ARGS]);
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['KEPT', 'TRACES/S', 'TRACES/DAY', 'GB/DAY'],
      ['failed', '5', '432,000', '4.32'],
      ['slow', '10', '864,000', '8.64'],
      ['of the rest', '49.3', '4.26 million', '42.6'],
      ['6.43 % of all', '64.3', '5.55 million', '55.5'],
      [''],
    ]);
  });

  it('prints one JSON document', async () => {
    const { stdout } = await throughline(['sampling', 'estimate', ...ARGS, '--json']);
    const estimate = JSON.parse(stdout);
    expect(estimate.tracesPerSecond).toBeCloseTo(64.25);
    expect(estimate.gigabytesPerDay).toBeCloseTo(55.512);
  });
});
