import { describe, expect, it } from 'vitest';
import { formatTable } from './output.ts';

describe('formatTable', () => {
  it('aligns columns, and shows a dash where there is no value', () => {
    const rows = [
      ['verify', 1, undefined],
      ['a', 20, 'long detail'],
    ];
    expect(formatTable(['STEP', 'TRIES', 'DETAIL'], rows)).toEqual([
      'STEP    TRIES  DETAIL',
      'verify  1      -',
      'a       20     long detail',
    ]);
  });

  it('cuts lines to the width of the terminal', () => {
    expect(formatTable(['A', 'B'], [['one', 'two and more']], 10)).toEqual(['A    B', 'one  two …']);
  });

  it('keeps a cell on its line, whatever is in it', () => {
    expect(formatTable(['A', 'B'], [['x\n\u001b[2Jy', 'z']])).toEqual(['A    B', 'x y  z']);
  });
});
