import { describe, expect, it } from 'vitest';
import type { OrderView } from '../orders/http/schemas.ts';
import { createOrderScreen } from './order-screen.ts';

const step = (name: string, status: OrderView['steps'][number]['status'], attempts = 1) => ({
  name,
  status,
  attempts,
  compensation: { kind: 'run' as const, status: 'none' as const, attempts: 0 },
});
const order = (more: Partial<OrderView>): OrderView => ({
  ...{ orderKey: 'O-1', sagaId: 's-1', state: 'running', domain: 'shop.example' },
  ...{ amountMinor: 680, currency: 'EUR', itemsCount: 1, placedAt: '2026-01-31T12:00:00Z' },
  ...{ steps: [], links: { self: '', events: '' } },
  ...more,
});
const action = {
  kind: '3-d-secure' as const,
  url: `http://bank.example/${'x'.repeat(100)}`,
  expiresAt: '2026-01-31T12:15:00Z',
};

function shown(isTTY: boolean, views: readonly OrderView[]): string[] {
  const written: string[] = [];
  const screen = { isTTY, columns: 60, write: (text: string) => written.push(text) };
  const show = createOrderScreen(screen, { json: false });
  for (const view of views) show(view);
  return written;
}

describe('an order that is watched', () => {
  const views = [
    order({ steps: [step('verify', 'completed'), step('pay', 'running'), step('set-up', 'pending', 0)] }),
    order({ state: 'waiting', action, steps: [step('verify', 'completed'), step('pay', 'waiting')] }),
    order({
      state: 'compensating',
      reason: 'declined',
      steps: [
        { ...step('verify', 'completed'), compensation: { kind: 'run', status: 'running', attempts: 1 } },
        step('pay', 'failed', 2),
      ],
    }),
  ];

  it('is told as a line for each event where there is no terminal: what is new of it', () => {
    const lines = shown(false, views).map((line) => line.replace(/^\S+ /, ''));
    expect(lines).toEqual([
      'O-1 running: verify completed, pay running\n',
      `O-1 waiting: pay waiting, 3-D Secure: ${action.url}\n`,
      'O-1 compensating: verify compensation running, pay failed (attempt 2), declined\n',
    ]);
  });

  it('is shown in place on a terminal, below the whole address of the bank', () => {
    const [first = '', second = '', third = ''] = shown(true, views);
    const lines = first.trimEnd().split('\n').length;
    expect(first).not.toContain('\u001b[');
    expect(
      second.startsWith(`\u001b[${lines}A\u001b[J3-D Secure, until ${action.expiresAt}: ${action.url}\n`),
    ).toBe(true);
    expect(third).not.toContain('bank.example');
    for (const line of third.split('\n').slice(1)) expect(line.length).toBeLessThanOrEqual(60);
  });
});
