import { describe, expect, test } from 'vitest';
import { describeTarget, type Fence, type FenceAction, FenceSet, type FenceTarget } from './fence.ts';

const fence = (id: string, target: FenceTarget, action: FenceAction = 'pause'): Fence => ({
  ...{ id, action, target, actor: 'ada', reason: 'why', addedAt: '2026-01-01T00:00:00.000Z', carrier: {} },
  lifted: undefined,
});
const MAIL = { job: 'mail.send', campaign: 'autumn', orderKey: 'O-1' };

describe('a set of fences', () => {
  test.each<[FenceTarget, boolean]>([
    [{ job: 'mail.send' }, true],
    [{ job: 'mail' }, false],
    [{ campaign: 'autumn' }, true],
    [{ campaign: 'mail.send' }, false],
    [{ orderKey: 'O-1' }, true],
    [{ orderKey: 'O-10' }, false],
    [{ job: 'mail.send', campaign: 'autumn', orderKey: 'O-1' }, true],
    [{ job: 'mail.send', campaign: 'spring' }, false],
    [{ job: 'push.send', orderKey: 'O-1' }, false],
    [{ campaign: 'autumn', orderKey: 'O-2' }, false],
    [{}, false],
  ])('%j stops a job of all three: %s', (target, isStopped) => {
    expect(new FenceSet([fence('1', target)]).find(MAIL)?.id).toBe(isStopped ? '1' : undefined);
  });

  test('a job without an order or a campaign is stopped by its name alone', () => {
    const set = new FenceSet([fence('1', { orderKey: 'O-1' }), fence('2', { job: 'mail.send' })]);
    expect(set.find({ job: 'mail.send', campaign: undefined, orderKey: undefined })?.id).toBe('2');
    expect(set.find({ job: undefined, campaign: undefined, orderKey: undefined })).toBeUndefined();
  });

  test('cancelling wins over pausing, wherever it is filed', () => {
    const pauses = [fence('1', { orderKey: 'O-1' }), fence('2', { job: 'mail.send' })];
    const cancels = fence('3', { job: 'mail.send', campaign: 'autumn' }, 'cancel');
    expect(new FenceSet([...pauses, cancels]).find(MAIL)?.id).toBe('3');
    expect(new FenceSet([cancels, ...pauses]).find(MAIL)?.id).toBe('3');
  });

  test('equals another one when the same fences stand', () => {
    const [one, other] = [fence('1', MAIL), fence('2', MAIL)];
    expect(new FenceSet([one, other]).equals(new FenceSet([one, other]))).toBe(true);
    expect(new FenceSet([one]).equals(new FenceSet([other]))).toBe(false);
    expect(new FenceSet([]).equals(new FenceSet([other]))).toBe(false);
  });
});

test('a target is told in words', () => {
  expect(describeTarget(MAIL)).toBe('job=mail.send campaign=autumn order=O-1');
  expect(describeTarget({ campaign: 'autumn' })).toBe('campaign=autumn');
});
