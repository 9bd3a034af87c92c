import { describe, expect, it } from 'vitest';
import { widthOf } from '../insight/printable.ts';
import type { CampaignView } from '../publisher/campaign/index.ts';
import { progressLine, progressLines, shareOf } from './campaign-progress.ts';
import { createLiveDisplay } from './live-display.ts';

const NOBODY = { pending: 0, sent: 0, suppressed: 0, cancelled: 0, failed: 0, uncertain: 0 };

function view(change: Partial<CampaignView>): CampaignView {
  return {
    ...{ id: 'autumn-terms', state: 'running', reason: undefined, tolerance: 0.01, expectedCount: 1_000 },
    ...{ frozen: 1_000, repeated: 0, isFrozen: true, addsUp: true, traceId: undefined },
    ...{ createdBy: 'ada', createdAt: '2026-01-01T00:00:00.000Z', approvedBy: 'ada' },
    ...{ startsAt: undefined, startedAt: undefined, endedAt: undefined },
    definition: {
      ...{ id: 'autumn-terms', channel: 'email', category: 'terms', segments: ['customers'], perSecond: 100 },
      ...{ template: { subject: '', body: 'x' }, tolerance: 0.01, maxFailureShare: 0.05 },
    },
    recipients: { ...NOBODY, pending: 550, sent: 445, failed: 5 },
    underWay: { queued: 40, sending: 10 },
    ...{ perSecond: 95.2, secondsLeft: 5.8 },
    ...change,
  };
}

describe('the progress of a campaign', () => {
  it('is a bar with rate and estimate, and the counts by state', () => {
    expect(progressLines(view({}), 90)).toEqual([
      `${'█'.repeat(16)}${'░'.repeat(20)}  autumn-terms  running  45.0 %  95/s  about 6 s left`,
      '1000 recipients: 445 sent, 550 pending (40 queued, 10 sending), 5 failed',
    ]);
  });

  it.each([20, 40, 55, 60, 80, 200])('fits into %i columns', (columns) => {
    for (const line of progressLines(view({ reason: 'for a long reason' }), columns))
      expect(widthOf(line)).toBeLessThan(columns);
  });

  it('counts towards what is expected while the audience is frozen', () => {
    const freezing = view({ state: 'freezing', isFrozen: false, frozen: 250, perSecond: undefined });
    expect(progressLine(freezing)).toBe('freezing  25.0 %  250 frozen, 1000 ± 1 % expected');
  });

  it('is never at its end while somebody may still be sent to', () => {
    const one = view({ recipients: { ...NOBODY, sent: 999, uncertain: 1 } });
    expect(progressLine(one)).toContain('  99.9 %  ');
    expect(progressLines(one, 100)[0]).toContain('█░');
  });

  it('is at its end with an audience of nobody', () => {
    expect(shareOf(view({ state: 'finished', frozen: 0, recipients: NOBODY }))).toBe(1);
    expect(shareOf(view({ state: 'running', frozen: 0, recipients: NOBODY }))).toBe(0);
  });

  it('cannot be broken by what a reason holds', () => {
    expect(progressLine(view({ state: 'paused', reason: 'a\n\u001b[2Jb' }))).toContain('  a b  ');
  });
});

describe('the live display', () => {
  it('puts lines in the place of those before', () => {
    let written = '';
    const display = createLiveDisplay({ write: (text) => (written += text) });
    display.show(['one', 'two']);
    display.show(['three']);
    display.show(['four']);
    expect(written).toBe('one\ntwo\n\u001b[2A\r\u001b[Jthree\n\u001b[1A\r\u001b[Jfour\n');
  });
});
